//! `btctl list`.

use protocol::control::Torrent;

use crate::args::ListArgs;
use crate::client::Raw;
use crate::failure::Failure;
use crate::render;

use super::Session;

/// Lists torrents: a table, or one array of JSON.
pub(super) async fn run(session: &mut Session<'_>, args: &ListArgs) -> Result<(), Failure> {
    let query = args.filter.query();
    if session.output.is_json {
        return json(session, &query).await;
    }
    let mut torrents = Vec::new();
    let take = |page: crate::client::Page<Vec<Torrent>>| {
        torrents.extend(page.torrents);
        Ok::<(), Failure>(())
    };
    session.client.list(&query, take).await?;
    Ok(session.output.table(render::torrents(&torrents))?)
}

/// Joins the arrays of all pages. Rows are passed on as they come: there may be 100,000.
async fn json(session: &mut Session<'_>, query: &protocol::control::ListQuery) -> Result<(), Failure> {
    let Session { client, output } = session;
    let mut separator = "[";
    let take = |page: crate::client::Page<Raw>| {
        let rows = rows(page.torrents.get());
        if !rows.is_empty() {
            output.json_text(separator)?;
            output.json_text(rows)?;
            separator = ",";
        }
        Ok::<(), Failure>(())
    };
    client.list(query, take).await?;
    let end = if separator == "[" { "[]\n" } else { "]\n" };
    Ok(output.json_text(end)?)
}

/// What is between the brackets of an array.
fn rows(array: &str) -> &str {
    let inner = array.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_is_between_brackets() {
        assert_eq!((rows("[]"), rows(" [ ] "), rows("[{\"a\":[1]},{}]")), ("", "", "{\"a\":[1]},{}"));
        assert_eq!(rows("{}"), "");
    }
}
