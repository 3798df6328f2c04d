//! `GET /openapi.json`: the description of the routes (OpenAPI 3.1), kept in `openapi.json` beside this crate.

use crate::refusal::Refusal;
use crate::request::Request;
use crate::response::Response;

const DESCRIPTION: &str = include_str!("../openapi.json");

pub(crate) fn openapi(request: &Request<'_>) -> Result<Response, Refusal> {
    request.must_read()?;
    Ok(Response::json(DESCRIPTION.as_bytes()))
}
