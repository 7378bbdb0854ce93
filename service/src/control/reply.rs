//! What handlers answer with, and what they take: JSON both ways, and every refusal an [`ErrorReply`].

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use protocol::control::{ErrorCode, ErrorReply, MAX_BODY_LENGTH};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// How long the body of a request may take to come: the longest is there in a second.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a body that is too long is read nevertheless: a client that cannot send it all may never read the reply
/// that says so.
const MAX_DISCARDED: usize = 4 * MAX_BODY_LENGTH;

/// A refusal, as handlers return it. The document of the API names it beside what each of them has to say.
#[derive(Debug, utoipa::IntoResponses)]
#[response(status = "default", description = "A refusal.")]
pub struct Refusal(pub ErrorReply);

impl Refusal {
    /// A refusal with its code, and why, for people.
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorReply::new(error, message))
    }
}

impl From<ErrorReply> for Refusal {
    fn from(reply: ErrorReply) -> Self {
        Self(reply)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.error.http_status());
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(self.0)).into_response()
    }
}

/// A value in JSON: the body of a reply, or of a request.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    /// Straight into bytes: a list has ten thousand rows. With the end of its line, for whoever uses curl.
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(mut body) => {
                body.push(b'\n');
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            // Our types have no keys but texts, so this is not reached.
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = Refusal;

    /// Whatever the type is called that the client says: curl calls it a form.
    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let bytes = read(request.into_body()).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Refusal::new(ErrorCode::BadRequest, format!("the body of the request: {error}")))
    }
}

/// The whole body, if it is not too long and comes in time.
async fn read(body: Body) -> Result<Vec<u8>, Refusal> {
    timeout(BODY_TIMEOUT, collect(body)).await.unwrap_or_else(|_| {
        let message = format!("the body of the request did not come in {} s", BODY_TIMEOUT.as_secs());
        Err(Refusal::new(ErrorCode::BadRequest, message))
    })
}

async fn collect(mut body: Body) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while length <= MAX_DISCARDED
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| {
            Refusal::new(ErrorCode::BadRequest, format!("the body of the request broke off: {error}"))
        })?;
        let data = frame.data_ref().map(AsRef::as_ref).unwrap_or_default();
        length += data.len();
        if length <= MAX_BODY_LENGTH {
            bytes.extend_from_slice(data);
        } else {
            bytes = Vec::new();
        }
    }
    if length > MAX_BODY_LENGTH {
        let message = format!("the body of the request is longer than {MAX_BODY_LENGTH} bytes");
        return Err(Refusal::new(ErrorCode::TooLarge, message));
    }
    Ok(bytes)
}

/// The query of a request.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Refusal::new(ErrorCode::BadRequest, error.body_text()))
    }
}

/// The one parameter of a path, as `{id}`: what the client calls the thing that it means.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let id = Path::from_request_parts(parts, state).await;
        id.map(|Path(id)| Self(id)).map_err(|error| Refusal::new(ErrorCode::BadRequest, error.body_text()))
    }
}
