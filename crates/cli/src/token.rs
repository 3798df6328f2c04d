//! `jotd token`: an access token for whoever administers the machine. This is how the first administrator gets in.

use anyhow::Result;
use authority::{DEFAULT_TOKEN_LIFETIME, Scopes};

use crate::administration::Token;
use crate::config::Config;
use crate::data::{Data, local_subject};
use crate::output;

pub(crate) fn token(arguments: &Token, config: Config) -> Result<()> {
    let scopes = Scopes::parse(&arguments.scope)?;
    let issuer = config.issuer.clone().map(|(issuer, _)| issuer);
    let default_issuer = config.default_issuer();
    let data = Data::open(config)?;
    let token = data.run(async |authority, caller| {
        let stored = authority.state().issuer().map(str::to_owned);
        if stored.is_none() {
            // No server was ever started; it will say the same, if it is started with the same settings.
            let issuer = Some(issuer.unwrap_or(default_issuer));
            authority.set_up(caller, authority::Setup { issuer, ..authority::Setup::default() }).await?;
        }
        let subject = arguments.sub.clone().unwrap_or_else(local_subject);
        let audiences: Vec<&str> = arguments.aud.iter().map(String::as_str).collect();
        let lifetime = arguments.ttl.map(|ttl| i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX));
        let lifetime = lifetime.or(Some(DEFAULT_TOKEN_LIFETIME.min(authority.state().terms_in_force().longest_token)));
        Ok(authority.grant_locally(&subject, &scopes, &audiences, lifetime, arguments.alg)?.token)
    })?;
    output::bytes(format!("{token}\n").as_bytes())
}
