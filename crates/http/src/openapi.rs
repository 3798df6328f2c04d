//! `GET /openapi.json`: the description of the routes (OpenAPI 3.1), kept in `openapi.json` beside this crate.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response};

use crate::refusal::{Reason, Refusal};

const DESCRIPTION: &str = include_str!("../openapi.json");

pub(crate) fn openapi(method: &Method) -> Result<Response<Full<Bytes>>, Refusal> {
    if method != Method::GET && method != Method::HEAD {
        return Err(Reason::MethodNotAllowed { allow: "GET, HEAD" }.into());
    }
    let mut response = Response::new(Full::new(Bytes::from_static(DESCRIPTION.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
