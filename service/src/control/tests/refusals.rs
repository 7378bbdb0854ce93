//! Who is refused, and what: each time with a code, and a text that helps.

use protocol::control::{ErrorCode, MAX_BODY_LENGTH};

use super::*;

#[track_caller]
fn assert_refused(answer: &(u16, String), status: u16, error: ErrorCode, says: &str) {
    let refusal: ErrorReply = serde_json::from_str(&answer.1).unwrap();
    assert_eq!((answer.0, refusal.error), (status, error), "{refusal}");
    assert!(refusal.message.contains(says), "`{}` does not say `{says}`", refusal.message);
}

#[test]
fn a_caller_is_known_to_whoever_answers() {
    let program = Program::start();
    let uid = nix::unistd::geteuid();
    assert_eq!(program.connect().ask("GET", "/caller", ""), (200, format!("{uid}\n")));
}

#[test]
fn a_body_that_is_no_json_is_refused() {
    let program = Program::start();
    let answer = program.connect().ask("POST", "/echo", "{");
    assert_refused(&answer, 400, ErrorCode::BadRequest, "the body of the request: EOF");
}

#[test]
fn a_body_that_is_too_long_is_refused_and_read_to_its_end() {
    let program = Program::start();
    let mut client = program.connect();
    let answer = client.ask("POST", "/echo", &" ".repeat(MAX_BODY_LENGTH + 1));
    let says = format!("longer than {MAX_BODY_LENGTH} bytes");
    assert_refused(&answer, 413, ErrorCode::TooLarge, &says);
    assert_eq!(client.ask("GET", "/hello", ""), hello(), "the connection is as good as before");
}

#[test]
fn a_body_of_the_greatest_length_is_taken() {
    let program = Program::start();
    let body = format!("1{}", " ".repeat(MAX_BODY_LENGTH - 1));
    assert_eq!(program.connect().ask("POST", "/echo", &body), (200, "1\n".to_owned()));
}

#[tokio::test]
async fn whoever_may_not_come_in_is_told_so() {
    let router = Gate::new(PROGRAM, Some(0o600)).refusing_router();
    let (ours, theirs) = StdStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let theirs = tokio::net::UnixStream::from_std(theirs).unwrap();
    let (_signal, stopping) = Stopping::signal();
    let places = Arc::new(Semaphore::new(1));
    let server = Server { router: router.clone(), places, header_timeout: PATIENCE, stopping };
    let _serving = tokio::spawn(async move { server.serve(theirs, router, None).await });
    let asking = tokio::task::spawn_blocking(|| Client::on(ours).ask("GET", "/hello", ""));
    assert_refused(&asking.await.unwrap(), 403, ErrorCode::Forbidden, "the user game runs as");
}
