//! `GET /healthz`: the process is up and answers.

use crate::refusal::Refusal;
use crate::request::Request;
use crate::response::Response;

pub(crate) fn healthz(request: &Request<'_>) -> Result<Response, Refusal> {
    request.must_read()?;
    Ok(Response::json(b"{\"status\": \"ok\"}"))
}
