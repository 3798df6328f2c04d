//! `jotd revoke`: tokens that are not to be accepted any more. `jotd audit`: who changed what and when.

use anyhow::{Result, bail};
use authority::{Revocation, UnixTime};
use jotd_http::shown;

use crate::administration::{Audit, Revoke};
use crate::arguments::Format;
use crate::config::Config;
use crate::data::Data;
use crate::{input, output};

pub(crate) fn revoke(arguments: Revoke, config: Config) -> Result<()> {
    let data = Data::open(config)?;
    let reason = arguments.reason.unwrap_or_default();
    let token = match arguments.token.as_deref() {
        Some("-") => Some(String::from_utf8(input::token()?)?),
        token => token.map(str::to_owned),
    };
    let revocation = data.run(async |authority, caller| {
        let revocation = match (token, arguments.token_id, arguments.subject, arguments.client, arguments.key) {
            (Some(token), ..) => Revocation::Token(authority.revoke_token(caller, &token, &reason).await?.into_inner()),
            (_, Some(id), ..) => {
                let expires_at = arguments.expires_at.map(UnixTime);
                Revocation::Token(authority.revoke_token_id(caller, &id, expires_at, &reason).await?.into_inner())
            }
            (_, _, Some(subject), ..) => {
                Revocation::Rule(authority.revoke_subject(caller, &subject, &reason).await?.into_inner())
            }
            (_, _, _, Some(client), _) => {
                Revocation::Rule(authority.revoke_client(caller, &client, &reason).await?.into_inner())
            }
            (.., Some(key)) => {
                let key = authority.compromise_key(caller, &key, &reason).await?;
                return Ok(shown::key(&authority.state(), &key));
            }
            _ => bail!("say what to revoke: --token, --token-id, --subject, --client or --key"),
        };
        Ok(shown::revocation(&revocation))
    })?;
    output::json(&revocation)
}

/// How many entries are read at a time.
const PART: usize = 500;

pub(crate) fn audit(arguments: &Audit, config: Config) -> Result<()> {
    let data = Data::open(config)?;
    let limit = arguments.limit.unwrap_or(usize::MAX);
    let text = output::format(arguments.format) == Format::Text;
    data.run(async |authority, _| {
        let (mut before, mut left) = (None, limit);
        while left > 0 {
            let changes = authority.log(before, left.min(PART)).await?;
            let Some(last) = changes.last() else { break };
            before = Some(last.position);
            left -= changes.len();
            for change in &changes {
                if text {
                    let at = jose::NumericDate::from_seconds(change.at.0);
                    let (actor, action, id) = (&change.actor, &change.action, &change.id);
                    let line = format!("{at} {actor:<20} {action:<22} {id} {}", change.detail);
                    output::bytes(format!("{}\n", output::harmless_line(&line)).as_bytes())?;
                } else {
                    output::json(&shown::change(change))?;
                }
            }
        }
        Ok(())
    })
}
