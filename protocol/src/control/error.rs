//! Refusals.

use serde::{Deserialize, Serialize};

use crate::id::InfoHash;

/// Why a request was refused, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// It cannot be understood, or asks for what makes no sense. HTTP 400.
    BadRequest,
    /// The caller may not do that, or not with that path. HTTP 403.
    Forbidden,
    /// There is no such torrent, path or method. HTTP 404, for a method 405.
    NotFound,
    /// An ID fits more than one torrent. HTTP 409.
    Ambiguous,
    /// The torrent is here already. HTTP 409.
    Exists,
    /// It is understood, and cannot be done as things are. HTTP 409.
    Conflict,
    /// The body is longer than any may be. HTTP 413.
    TooLarge,
    /// A file that was named cannot be read, or is no torrent. HTTP 422.
    Unusable,
    /// There is too much to do already; try again. HTTP 429.
    Busy,
    /// The state cannot be written, or something else failed that is not the caller's fault. HTTP 500.
    Failed,
    /// The daemon is stopping. HTTP 503.
    Stopping,
}

impl ErrorCode {
    /// The status of a reply that says so.
    pub const fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Ambiguous | Self::Exists | Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::Unusable => 422,
            Self::Busy => 429,
            Self::Failed => 500,
            Self::Stopping => 503,
        }
    }
}

/// The body of every reply that is a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, thiserror::Error)]
#[error("{message}")]
pub struct ErrorReply {
    /// Why, for programs.
    pub error: ErrorCode,
    /// Why, for people.
    pub message: String,
    /// The torrent that is meant, where one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub info_hash: Option<InfoHash>,
}

impl ErrorReply {
    /// A refusal.
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self { error, message: message.into(), info_hash: None }
    }

    /// The same, about a torrent.
    pub fn about(self, info_hash: InfoHash) -> Self {
        Self { info_hash: Some(info_hash), ..self }
    }
}
