//! `/v1/clients`: who may ask for tokens.

use authority::error::{AdminError, ClientError};
use authority::{ClientChange, NewClient, Scopes};
use serde_json::Value;

use crate::members::Members;
use crate::refusal::{Reason, Refusal};
use crate::response::Response;
use crate::router::Router;
use crate::shown;
use crate::v1::{self, Call, Page};

pub(crate) fn list(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let page = Page::of(&call.query(&Page::PARAMETERS)?)?;
    let state = router.authority.state();
    let (clients, next) = page.cut(state.clients().map(|client| &client.record), |client| &client.id);
    Ok(v1::list_answer(clients.into_iter().map(shown::client).collect(), next))
}

pub(crate) async fn create(router: &Router, call: &Call<'_>) -> Result<Response, Refusal> {
    let mut members = call.members()?;
    let new = NewClient {
        id: members.text("id")?,
        name: Members::required(members.text("name")?, "name")?,
        scopes: scopes(members.texts("scopes")?)?.unwrap_or_default(),
        audiences: Members::required(members.texts("audiences")?, "audiences")?,
        token_lifetime: members.integer("token_lifetime")?,
        algorithm: members.algorithm("algorithm")?,
        jwks: members.object("jwks")?.map(|jwks| Value::Object(jwks).to_string()),
    };
    members.finish()?;
    let (created, secret) = router.authority.create_client(&call.caller(), new).await?;
    let client = created.into_inner();
    Ok(v1::created(&shown::client_with_secret(&client, secret), &format!("/v1/clients/{}", client.id)))
}

/// Reads, changes or removes one.
pub(crate) async fn one(router: &Router, call: &Call<'_>, id: &str) -> Result<Response, Refusal> {
    call.query(&[])?;
    if call.method == "DELETE" {
        call.takes_nothing()?;
        router.authority.remove_client(&call.caller(), id).await?;
        return Ok(v1::no_content());
    }
    if call.method == "PATCH" {
        let change = change(call)?;
        return Ok(v1::ok(&shown::client(&router.authority.update_client(&call.caller(), id, change).await?)));
    }
    let state = router.authority.state();
    let client = state.find_client(id).ok_or(AdminError::from(ClientError::NoSuchClient))?;
    Ok(v1::ok(&shown::client(&client.record)))
}

fn change(call: &Call<'_>) -> Result<ClientChange, Refusal> {
    let mut members = call.members()?;
    let (no_algorithm, no_jwks) = (members.is_null("algorithm"), members.is_null("jwks"));
    let jwks = members.object("jwks")?.map(|jwks| Some(Value::Object(jwks).to_string()));
    let change = ClientChange {
        name: members.text("name")?,
        scopes: scopes(members.texts("scopes")?)?,
        audiences: members.texts("audiences")?,
        token_lifetime: members.integer("token_lifetime")?,
        algorithm: if no_algorithm { Some(None) } else { members.algorithm("algorithm")?.map(Some) },
        jwks: if no_jwks { Some(None) } else { jwks },
    };
    members.finish()?;
    Ok(change)
}

pub(crate) async fn add_secret(router: &Router, call: &Call<'_>, id: &str) -> Result<Response, Refusal> {
    call.takes_nothing()?;
    let (created, secret) = router.authority.add_secret(&call.caller(), id).await?;
    let client = created.into_inner();
    Ok(v1::created(&shown::client_with_secret(&client, secret), &format!("/v1/clients/{}", client.id)))
}

pub(crate) async fn remove_secret(
    router: &Router,
    call: &Call<'_>,
    id: &str,
    secret: &str,
) -> Result<Response, Refusal> {
    call.takes_nothing()?;
    router.authority.remove_secret(&call.caller(), id, secret).await?;
    Ok(v1::no_content())
}

fn scopes(names: Option<Vec<String>>) -> Result<Option<Scopes>, Refusal> {
    let is_repeated = |(place, name)| names.iter().flatten().take(place).any(|earlier| earlier == name);
    if names.iter().flatten().enumerate().any(is_repeated) {
        return Err(Reason::Member { code: "invalid_scope", detail: "a scope is given twice".to_owned() }.into());
    }
    let scopes = names.map(|names| Scopes::of(names.iter().map(String::as_str)));
    Ok(scopes.transpose().map_err(|error| AdminError::from(ClientError::from(error)))?)
}
