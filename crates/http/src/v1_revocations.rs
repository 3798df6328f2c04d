//! `/v1/revocations` and `/v1/audit`: what is not accepted any more, and who changed what.

use authority::error::{AdminError, RevokeError, StoreError};
use authority::store::{Position, RevocationId};
use authority::{MOST_REVOCATIONS, NewRevocation, Revocable, Revocation, Rule, UnixTime, Whose};
use serde_json::json;

use crate::members::Members;
use crate::refusal::{Reason, Refusal};
use crate::response::Response;
use crate::router::Router;
use crate::shown;
use crate::v1::{self, Call, Page};
use crate::v1_keys;

/// Stands before the id in the cursor of a list's second half.
const TOKENS: &str = "token:";

/// Rules first, then tokens, each in the order of their ids.
pub(crate) async fn list(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let [limit, cursor] = Page::PARAMETERS;
    let query = call.query(&[limit, cursor, "kind"])?;
    let page = Page::of(&query)?;
    let kind = query.given("kind").map_err(|error| Reason::Query(error.description()))?;
    let wants = |rule: &Rule| {
        let of_rule = if matches!(rule.whose, Whose::Subject(_)) { "subject" } else { "client" };
        kind.is_none_or(|kind| kind == of_rule)
    };
    let (rules, tokens) = match kind {
        None => (true, true),
        Some("token") => (false, true),
        Some("subject" | "client") => (true, false),
        Some(_) => return Err(Reason::Query("kind must be token, subject or client").into()),
    };
    let after_token = page.after.as_deref().and_then(|after| after.strip_prefix(TOKENS));
    let mut items = Vec::new();
    if rules && after_token.is_none() {
        let state = router.authority.state();
        let found = state.rules(page.after.as_deref(), page.limit + 1, wants);
        let (found, next) = page.cut(found.into_iter(), |rule| &rule.id);
        items.extend(found.iter().map(shown::rule));
        if next.is_some() {
            return Ok(v1::list_answer(items, next));
        }
    }
    let mut next = None;
    if tokens {
        let after = after_token.map(|id| RevocationId::parse(id).ok_or(Reason::Query("cursor is not one of ours")));
        let left = page.limit - items.len();
        // One more than fits, to know whether there is more.
        let mut found = router.authority.revocations(after.transpose()?, left + 1).await?;
        if found.len() > left {
            found.truncate(left);
            let last = found.last().map_or_else(|| "0".repeat(32), |last| last.id.to_string());
            next = Some(format!("{TOKENS}{last}"));
        }
        items.extend(found.iter().map(shown::revoked_token));
    }
    Ok(v1::list_answer(items, next))
}

pub(crate) async fn show(router: &Router, call: &Call<'_>, id: &str) -> Result<Response, Refusal> {
    call.query(&[])?;
    let found = router.authority.find_revocation(id).await?;
    found.map(|found| v1::ok(&shown::revocation(&found))).ok_or_else(|| Reason::NotFound.into())
}

pub(crate) async fn create(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut members = call.members()?;
    let (token, token_id) = (members.text("token")?, members.text("token_id")?);
    let (subject, client) = (members.text("subject")?, members.text("client_id")?);
    let (key, expires_at) = (members.text("key_id")?, members.integer("expires_at")?.map(UnixTime));
    let reason = members.text("reason")?.unwrap_or_default();
    members.finish()?;
    if expires_at.is_some() && token_id.is_none() {
        return Err(expiry_without_id());
    }
    let (authority, caller) = (&router.authority, call.caller());
    let (kind, revocation) = match (token, token_id, subject, client, key) {
        (Some(token), None, None, None, None) => {
            ("token", Revocation::Token(authority.revoke_token(&caller, &token, &reason).await?.into_inner()))
        }
        (None, Some(id), None, None, None) => {
            let revoked = authority.revoke_token_id(&caller, &id, expires_at, &reason).await?;
            ("token", Revocation::Token(revoked.into_inner()))
        }
        (None, None, Some(subject), None, None) => {
            ("subject", Revocation::Rule(authority.revoke_subject(&caller, &subject, &reason).await?.into_inner()))
        }
        (None, None, None, Some(client), None) => {
            ("client", Revocation::Rule(authority.revoke_client(&caller, &client, &reason).await?.into_inner()))
        }
        (None, None, None, None, Some(key)) => {
            let key = authority.compromise_key(&caller, &key, &reason).await?;
            router.metrics.revoked("key");
            let body = shown::key(&authority.state(), &key);
            return Ok(v1::created(&body, &format!("/v1/keys/{}", v1_keys::escaped(&key.id))));
        }
        _ => {
            let detail = "one of token, token_id, subject, client_id and key_id is wanted".to_owned();
            return Err(Reason::Member { code: "member_missing", detail }.into());
        }
    };
    router.metrics.revoked(kind);
    let id = match &revocation {
        Revocation::Token(token) => token.id.to_string(),
        Revocation::Rule(rule) => rule.id.clone(),
    };
    Ok(v1::created(&shown::revocation(&revocation), &format!("/v1/revocations/{id}")))
}

/// Many at a time, each with its own outcome, in their order.
pub(crate) async fn create_many(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut members = call.members()?;
    let wanted = Members::required(members.objects("revocations")?, "revocations")?;
    members.finish()?;
    if wanted.len() > MOST_REVOCATIONS {
        return Err(AdminError::from(RevokeError::TooMany).into());
    }
    // What cannot be read is not asked of the authority, and has its place among the outcomes.
    let (mut asked, mut unread) = (Vec::with_capacity(wanted.len()), Vec::with_capacity(wanted.len()));
    for wanted in wanted {
        match one_of_many(Members::of(wanted)) {
            Ok(wanted) => {
                asked.push(wanted);
                unread.push(None);
            }
            Err(refusal) => unread.push(Some(refusal)),
        }
    }
    let mut outcomes = router.authority.revoke_many(&call.caller(), asked).await?.into_iter();
    let mut revoked = 0;
    let mut shown = |refusal: Option<Refusal>| {
        let outcome = match refusal {
            Some(refusal) => Err(refusal),
            None => outcomes.next().unwrap_or_else(|| Err(StoreError::Busy.into())).map_err(Refusal::from),
        };
        match outcome {
            Ok(revocation) => {
                revoked += 1;
                let revocation = revocation.into_inner();
                router.metrics.revoked(kind_of(&revocation));
                json!({ "revocation": shown::revocation(&revocation) })
            }
            Err(refusal) => json!({ "problem": refusal.into_problem() }),
        }
    };
    let items: Vec<_> = unread.into_iter().map(&mut shown).collect();
    Ok(v1::ok(&json!({ "revoked": revoked, "refused": items.len() - revoked, "items": items })))
}

fn one_of_many(mut members: Members) -> Result<NewRevocation, Refusal> {
    let (token, token_id) = (members.text("token")?, members.text("token_id")?);
    let (subject, client) = (members.text("subject")?, members.text("client_id")?);
    let expires_at = members.integer("expires_at")?.map(UnixTime);
    let reason = members.text("reason")?.unwrap_or_default();
    members.finish()?;
    let of = match (token, token_id, subject, client) {
        (None, Some(id), None, None) => Revocable::TokenId(id, expires_at),
        _ if expires_at.is_some() => return Err(expiry_without_id()),
        (Some(token), None, None, None) => Revocable::Token(token),
        (None, None, Some(subject), None) => Revocable::All(Whose::Subject(subject)),
        (None, None, None, Some(client)) => Revocable::All(Whose::Client(client)),
        _ => {
            let detail = "one of token, token_id, subject and client_id is wanted".to_owned();
            return Err(Reason::Member { code: "member_missing", detail }.into());
        }
    };
    Ok(NewRevocation { of, reason })
}

fn expiry_without_id() -> Refusal {
    Reason::Member { code: "member_unknown", detail: "expires_at belongs to token_id".to_owned() }.into()
}

/// For the metrics.
fn kind_of(revocation: &Revocation) -> &'static str {
    match revocation {
        Revocation::Token(_) => "token",
        Revocation::Rule(rule) if matches!(rule.whose, Whose::Subject(_)) => "subject",
        Revocation::Rule(_) => "client",
    }
}

/// Newest first.
pub(crate) async fn audit(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let page = Page::of(&call.query(&Page::PARAMETERS)?)?;
    let before =
        page.after.map(|after| after.parse().map(Position).map_err(|_| Reason::Query("cursor is not one of ours")));
    let mut changes = router.authority.log(before.transpose()?, page.limit + 1).await?;
    let more = changes.len() > page.limit;
    changes.truncate(page.limit);
    let next = changes.last().filter(|_| more).map(|last| last.position.0.to_string());
    Ok(v1::list_answer(changes.iter().map(shown::change).collect(), next))
}
