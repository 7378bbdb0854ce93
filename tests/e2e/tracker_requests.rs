//! What bttracker takes as an HTTP request: methods, versions, targets, paths, and how a connection goes on.

use tests::api::ask_at;
use tests::bttracker::{Bttracker, with_tracker};
use tests::caller::{Connection, fetch, request};
use tests::query::{Ask, Hash};

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    Case::new("tracker_answers_a_head_without_a_body", answers_a_head_without_a_body),
    Case::new("tracker_refuses_other_methods_with_405", refuses_other_methods_with_405),
    Case::new("tracker_speaks_http_1_0", speaks_http_1_0),
    Case::new("tracker_takes_an_absolute_target", takes_an_absolute_target),
    Case::new("tracker_keeps_a_connection", keeps_a_connection),
    Case::new("tracker_closes_a_connection_when_asked", closes_a_connection_when_asked),
    Case::new("tracker_answers_pipelined_requests_in_order", answers_pipelined_requests_in_order),
    Case::new("tracker_takes_a_request_in_single_bytes", takes_a_request_in_single_bytes),
    Case::new("tracker_refuses_other_paths_with_404", refuses_other_paths_with_404),
    Case::new("tracker_takes_passkeys_in_paths", takes_passkeys_in_paths),
    Case::new("tracker_says_that_it_is_well", says_that_it_is_well),
    Case::new("tracker_shows_figures", shows_figures),
    Case::new("tracker_hides_figures_when_told", hides_figures_when_told),
    Case::new("tracker_has_metrics_where_configured", has_metrics_where_configured),
];

const HASH: Hash = [7; 20];

fn leech() -> Ask {
    Ask::leech(HASH, 1001)
}

/// Has `test` use a tracker with the usual configuration.
fn plainly(name: &str, test: impl FnOnce(&Bttracker<'_>)) {
    with_tracker(&format!("t-{name}"), "", test);
}

fn answers_a_head_without_a_body() {
    plainly("head", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for target in ["/health", &leech().target(), "/stats", "/nothing"] {
            connection.send(request(target, "").replace("GET", "HEAD").as_bytes());
            let answer = connection.answer_to_head();
            assert_eq!(answer.status, if target == "/nothing" { 404 } else { 200 }, "{target}: {answer:?}");
            // What comes next is the next answer: there was no body.
            assert_eq!(connection.get("/health").status, 200);
        }
    });
}

fn refuses_other_methods_with_405() {
    plainly("methods", |tracker| {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            for target in [leech().target(), "/scrape".to_owned(), "/health".to_owned()] {
                let mut connection = Connection::open(tracker.http4());
                let request = request(&target, "Content-Length: 3\r\n").replacen("GET", method, 1) + "abc";
                connection.send(request.as_bytes());
                let answer = connection.answer();
                assert_eq!(answer.status, 405, "{method} {target}: {answer:?}");
                let allowed = answer.header("allow").unwrap_or_default();
                assert!(allowed.contains("GET"), "{method} {target}: {answer:?}");
            }
        }
        assert!(tracker.peers(HASH).is_empty(), "nobody has announced");
    });
}

fn speaks_http_1_0() {
    plainly("http10", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        connection.send(format!("GET {} HTTP/1.0\r\n\r\n", leech().target()).as_bytes());
        connection.answer().well();
        connection.assert_closed();
        assert_eq!(tracker.peers(HASH).len(), 1);
    });
}

fn takes_an_absolute_target() {
    plainly("absolute", |tracker| {
        let target = format!("http://tracker.example:6969{}", leech().target());
        tracker.fetch(&target).well();
        assert_eq!(tracker.peers(HASH).len(), 1);
        assert_eq!(tracker.fetch("http://tracker.example/nothing").status, 404);
    });
}

fn keeps_a_connection() {
    plainly("keep", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for port in 1..=20 {
            connection.get(&Ask::leech(HASH, port).target()).well();
            // A refusal of any sort does not end it.
            connection.get("/announce").failure();
            assert_eq!(connection.get("/nothing").status, 404);
        }
        assert_eq!(tracker.peers(HASH).len(), 20);
    });
}

fn closes_a_connection_when_asked() {
    plainly("close", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        let answer = connection.get_with(&leech().target(), "Connection: close\r\n").well();
        assert!(answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")), "{answer:?}");
        connection.assert_closed();
    });
}

fn answers_pipelined_requests_in_order() {
    plainly("pipelined", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        let requests: String = (1..=100).map(|port| request(&Ask::leech(HASH, port).target(), "")).collect();
        connection.send(requests.as_bytes());
        for count in 1..=100 {
            assert_eq!(connection.answer().number("incomplete"), count, "one after the other");
        }
    });
}

fn takes_a_request_in_single_bytes() {
    plainly("bytes", |tracker| {
        let mut connection = Connection::open(tracker.http4());
        for byte in request(&leech().target(), "").as_bytes() {
            connection.send(&[*byte]);
        }
        connection.answer().well();
    });
}

fn refuses_other_paths_with_404() {
    plainly("paths", |tracker| {
        let query = leech().query();
        for path in [
            "/",
            "/favicon.ico",
            "/announced",
            "/scraper",
            "/a/b/announce",
            "/announce/a/b",
            "/v1/server",
            "//",
        ] {
            let answer = tracker.fetch(&format!("{path}?{query}"));
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
        }
        assert!(tracker.peers(HASH).is_empty(), "nobody has announced");
    });
}

fn takes_passkeys_in_paths() {
    plainly("key-paths", |tracker| {
        for (number, path) in (1..).zip(["/abc123/announce", "/announce/abc123", "/announce"]) {
            let ask = Ask::leech(HASH, number).with("&passkey=abc123");
            tracker.fetch(&format!("{path}?{}", ask.query())).well();
        }
        assert_eq!(tracker.peers(HASH).len(), 3, "in public, whoever comes is welcome");
        let scrape = tests::query::scrape_target(&[HASH]);
        assert_eq!(tracker.fetch(&format!("/abc123{scrape}")).row(HASH), (0, 0, 3));
    });
}

fn says_that_it_is_well() {
    plainly("health", |tracker| {
        for address in [tracker.http4(), tracker.http6()] {
            assert_eq!(fetch(address, "/health").status, 200);
        }
    });
}

fn shows_figures() {
    plainly("stats", |tracker| {
        tracker.announce(&leech());
        let answer = tracker.fetch("/stats");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(
            answer.header("content-type").is_some_and(|it| it.starts_with("application/json")),
            "{answer:?}"
        );
        let stats: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert!(stats.is_object(), "{stats}");
        let accept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n";
        let page = Connection::open(tracker.http4()).get_with("/stats", accept);
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.header("content-type").is_some_and(|it| it.starts_with("text/html")), "{page:?}");
        assert!(page.text().to_lowercase().contains("<html"), "{}", page.text());
        let json = Connection::open(tracker.http4())
            .get_with("/stats", "Accept: text/html;q=0.1, application/json\r\n");
        assert!(json.header("content-type").is_some_and(|it| it.starts_with("application/json")), "{json:?}");
    });
}

fn hides_figures_when_told() {
    with_tracker("t-no-stats", "[http_server]\nstats = false", |tracker| {
        assert_eq!(tracker.fetch("/stats").status, 404);
        assert_eq!(tracker.fetch("/health").status, 200);
    });
}

/// Fails unless there is a metric of ours in `text`.
fn assert_metrics(text: &str) {
    let is_sample = |line: &str| line.starts_with("bttracker_") && line.rsplit_once(' ').is_some();
    assert!(text.lines().any(is_sample), "no metric in {text}");
}

fn has_metrics_where_configured() {
    plainly("no-metrics", |tracker| {
        assert_eq!(tracker.fetch("/metrics").status, 404, "not in public");
        let reply = tracker.ask("GET", "/metrics");
        assert_eq!(reply.status, 200, "at the control socket always");
        assert_metrics(&reply.text());
    });
    with_tracker("t-metrics", "[http_server]\nmetrics = true", |tracker| {
        let answer = tracker.fetch("/metrics");
        assert_eq!(answer.status, 200);
        assert_metrics(&answer.text());
    });
    with_tracker("t-metrics-apart", "metrics_listen = '127.0.0.1:0'", |tracker| {
        let address = tracker.metrics_address();
        assert_metrics(&ask_at(address, "/metrics").text());
        assert_eq!(fetch(address, &leech().target()).status, 404, "there is no tracker there");
        assert_eq!(tracker.fetch("/metrics").status, 404);
    });
}
