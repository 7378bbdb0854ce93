//! Paths and queries of requests.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use protocol::control::{API_PREFIX, ListQuery};
use serde_json::Value;

/// What is written as `%XX`: all but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of a torrent, which `id` names in any way; `tail` is empty, or begins with `/`.
pub fn of_torrent(id: &str, tail: &str) -> String {
    format!("{API_PREFIX}/torrents/{}{tail}", utf8_percent_encode(id, ESCAPED))
}

/// The path of a list.
pub fn of_list(query: &ListQuery) -> String {
    let mut path = format!("{API_PREFIX}/torrents");
    let fields = serde_json::to_value(query).ok();
    for (key, value) in fields.iter().filter_map(Value::as_object).flatten() {
        path.push(if path.contains('?') { '&' } else { '?' });
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        path.extend([key, "="]);
        path.extend(utf8_percent_encode(&text, ESCAPED));
    }
    path
}

#[cfg(test)]
mod tests {
    use protocol::control::State;

    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(of_torrent("a/b ?#ü", "/files"), "/v1/torrents/a%2Fb%20%3F%23%C3%BC/files");
        assert_eq!(of_torrent("all", ""), "/v1/torrents/all");
    }

    #[test]
    fn every_part_of_a_query_is_sent() {
        assert_eq!(of_list(&ListQuery::default()), "/v1/torrents");
        let query = ListQuery {
            state: Some(State::Seeding),
            label: Some("a&b".to_owned()),
            tracker: Some("t.example".to_owned()),
            sort: "-upload_rate".parse().ok(),
            limit: Some(5),
            after: Some("1:n2".to_owned()),
            since: Some(7),
        };
        let path = of_list(&query);
        let mut fields: Vec<&str> = path.strip_prefix("/v1/torrents?").unwrap().split('&').collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "after=1%3An2",
                "label=a%26b",
                "limit=5",
                "since=7",
                "sort=-upload_rate",
                "state=seeding",
                "tracker=t.example"
            ]
        );
    }
}
