//! Lists of torrents, page by page.

use protocol::control::{ListQuery, ListReply, MAX_PAGE};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, of_list};

/// A page: rows in whatever form, `Raw` where they are only passed on.
#[derive(Debug, Deserialize)]
pub struct Page<R> {
    /// The rows.
    pub torrents: R,
    /// Counts changes; that of the first page is the one to ask for changes since.
    pub revision: u64,
    next: Option<String>,
}

impl Client {
    /// Gives all pages of a list to `take`, one after another; those that `query` asks for, however many there are.
    ///
    /// # Errors
    /// When the daemon refuses or cannot be understood, or `take` fails.
    pub async fn list<R: DeserializeOwned, E: From<ClientError>>(
        &mut self,
        query: &ListQuery,
        mut take: impl FnMut(Page<R>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut query = ListQuery { limit: Some(MAX_PAGE), ..query.clone() };
        loop {
            let mut page: Page<R> = self.get(&of_list(&query)).await?;
            let next = page.next.take();
            if next.is_some() && next == query.after {
                return Err(self.not_btd("a page that follows itself".to_owned()).into());
            }
            take(page)?;
            match next {
                None => return Ok(()),
                after => query.after = after,
            }
        }
    }

    /// What has changed since `revision`, up to a page of it.
    ///
    /// # Errors
    /// When the daemon refuses or cannot be understood.
    pub async fn changes(&mut self, query: &ListQuery, revision: u64) -> Result<ListReply, ClientError> {
        let query = ListQuery { since: Some(revision), sort: None, limit: Some(MAX_PAGE), ..query.clone() };
        self.get(&of_list(&query)).await
    }
}
