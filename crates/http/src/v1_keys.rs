//! `/v1/keys` and `/v1/slots`: the keyring.

use authority::error::KeyringError;
use jose::{Algorithm, Jwk};
use serde_json::Value;

use crate::members::Members;
use crate::refusal::{Reason, Refusal};
use crate::response::Response;
use crate::router::Router;
use crate::shown;
use crate::v1::{self, Call, Page, Step};

pub(crate) fn list(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let page = Page::of(&call.query(&Page::PARAMETERS)?)?;
    let state = router.authority.state();
    let (keys, next) = page.cut(state.keys(), |key| &key.id);
    Ok(v1::list_answer(keys.into_iter().map(|key| shown::key(&state, key)).collect(), next))
}

pub(crate) fn show(router: &Router, call: &Call<'_>, id: &str) -> Result<Response, Refusal> {
    call.query(&[])?;
    let state = router.authority.state();
    let key = state.find_key(id).ok_or(KeyringError::NoSuchKey)?;
    Ok(v1::ok(&shown::key(&state, key)))
}

pub(crate) async fn create(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut members = call.members()?;
    let (algorithm, bits, held) = (members.algorithm("algorithm")?, members.integer("bits")?, members.switch("hold")?);
    let jwk = members.object("jwk")?;
    members.finish()?;
    let created = match jwk {
        Some(jwk) => {
            if bits.is_some() {
                let detail = "bits is for keys that are made here".to_owned();
                return Err(Reason::Member { code: "member_unknown", detail }.into());
            }
            let text = zeroize::Zeroizing::new(Value::Object(jwk).to_string());
            let jwk = Jwk::parse(text.as_bytes()).map_err(|error| KeyringError::Unusable(error.to_string()))?;
            router.authority.import_key(&call.caller(), jwk, algorithm, held).await?
        }
        None => {
            let algorithm = Members::required(algorithm, "algorithm")?;
            let bits = bits.map(|bits| usize::try_from(bits).unwrap_or(0));
            router.authority.create_key(&call.caller(), algorithm, bits, held).await?
        }
    };
    let key = created.into_inner();
    let state = router.authority.state();
    Ok(v1::created(&shown::key(&state, &key), &format!("/v1/keys/{}", escaped(&key.id))))
}

pub(crate) async fn rotate(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut members = call.members()?;
    let (algorithm, dry_run) = (members.algorithm("algorithm")?, members.switch("dry_run")?);
    members.finish()?;
    let rotation = if dry_run {
        // It changes nothing.
        let seen = router.authority.seen();
        let plan = router.authority.plan_rotation(algorithm)?;
        router.see_usable(seen)?;
        plan
    } else {
        router.authority.rotate(&call.caller(), algorithm).await?
    };
    Ok(v1::ok(&shown::rotation(&router.authority.state(), &rotation)))
}

pub(crate) async fn step(router: &Router, call: &Call<'_>, id: &str, step: Step) -> Result<Response, Refusal> {
    let mut members = call.members()?;
    let reason = if step == Step::Compromise { members.text("reason")? } else { None };
    members.finish()?;
    let caller = call.caller();
    let key = match step {
        Step::Activate => router.authority.activate_key(&caller, id).await?,
        Step::Retire => router.authority.retire_key(&caller, id).await?,
        Step::Compromise => {
            let key = router.authority.compromise_key(&caller, id, &reason.unwrap_or_default()).await?;
            router.metrics.revoked("key");
            key
        }
    };
    Ok(v1::ok(&shown::key(&router.authority.state(), &key)))
}

pub(crate) fn slots(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    call.query(&[])?;
    let state = router.authority.state();
    let slots = state.slots().map(|(slot, next)| shown::slot(slot, next)).collect();
    Ok(v1::list_answer(slots, None))
}

pub(crate) async fn schedule(router: &Router, call: &Call<'_>, algorithm: &str) -> Result<Response, Refusal> {
    let algorithm = Algorithm::find_by_name(algorithm).ok_or(KeyringError::NoSuchSlot)?;
    let mut members = call.members()?;
    let never = members.is_null("rotate_every");
    let every = members.integer("rotate_every")?;
    members.finish()?;
    let every = if never { None } else { Some(Members::required(every, "rotate_every")?) };
    let slot = router.authority.schedule(&call.caller(), algorithm, every).await?;
    let state = router.authority.state();
    let next = state.slots().find(|(own, _)| own.algorithm == algorithm).and_then(|(_, next)| next);
    Ok(v1::ok(&shown::slot(&slot, next)))
}

/// An id as a segment of a path.
pub(crate) fn escaped(id: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    id.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
