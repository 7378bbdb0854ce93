//! Connections: silent ones, many at once, and their end.

use std::io::ErrorKind;

use super::*;

#[test]
fn a_client_that_says_nothing_is_dropped() {
    let program = Program::with(|settings| settings.header_timeout = Duration::from_millis(20));
    for beginning in ["", "GET /hello HTTP/1.1\r\nHost:"] {
        let mut client = program.connect();
        client.say(beginning);
        assert!(!client.rest().contains("200 OK"));
    }
    assert_eq!(program.connect().ask("GET", "/hello", ""), hello(), "others are served");
}

#[test]
fn a_client_that_has_gone_silent_is_dropped() {
    let program = Program::with(|settings| settings.header_timeout = Duration::from_millis(20));
    let mut client = program.connect();
    client.send("GET", "/hello", "");
    assert!(client.rest().starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn a_connection_is_kept_for_more_requests() {
    let program = Program::start();
    let mut client = program.connect();
    for said in ["1", "2", "3"] {
        assert_eq!(client.ask("POST", "/echo", said), (200, format!("{said}\n")));
    }
}

#[test]
fn what_is_no_http_ends_its_connection_only() {
    let program = Program::start();
    let mut client = program.connect();
    client.say([0xff; 1_000]);
    assert!(client.rest().starts_with("HTTP/1.1 400"));
    assert_eq!(program.connect().ask("GET", "/hello", ""), hello());
}

#[test]
fn beyond_the_limit_connections_wait_for_one_to_end() {
    let program = Program::with(|settings| settings.max_connections = 1);
    let mut first = program.connect();
    assert_eq!(first.ask("GET", "/hello", ""), hello());
    let mut second = program.connect();
    second.send("GET", "/hello", "");
    second.0.get_ref().set_nonblocking(true).unwrap();
    // The first is served again and again, and the second is not.
    for _ in 0..20 {
        assert_eq!(first.ask("GET", "/hello", ""), hello());
        assert_eq!(second.0.fill_buf().unwrap_err().kind(), ErrorKind::WouldBlock, "more than one at once");
    }
    second.0.get_ref().set_nonblocking(false).unwrap();
    drop(first);
    assert_eq!(second.answer(), hello());
}

#[test]
fn hundreds_ask_at_once_and_each_gets_its_answer() {
    let program = Program::with(|settings| settings.max_connections = 8);
    let mut clients: Vec<Client> = (0..300).map(|_| program.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.say(format!(
            "POST /echo HTTP/1.1\r\nHost: game\r\nConnection: close\r\nContent-Length: 3\r\n\r\n{number:>3}"
        ));
    }
    for (number, mut client) in clients.into_iter().enumerate() {
        assert_eq!(client.answer(), (200, format!("{number}\n")));
    }
}

#[test]
fn at_the_end_silent_connections_do_not_hold_it_up_and_the_socket_is_gone() {
    let mut program = Program::with(|settings| settings.header_timeout = Duration::from_secs(3_600));
    let silent = program.connect();
    let mut idle = program.connect();
    assert_eq!(idle.ask("GET", "/hello", ""), hello());
    let mut listening = program.connect();
    listening.send("GET", "/lines", "");
    assert_eq!(listening.0.fill_buf().unwrap()[..8], *b"HTTP/1.1");
    program.control().stop(PATIENCE);
    assert!(!program.socket().exists());
    assert_eq!(silent.rest(), "");
    let lines = listening.rest();
    assert!(lines.contains("application/x-ndjson") && lines.contains("\"hello\"\n"), "{lines}");
    assert!(lines.contains("\"the end\"\n"), "{lines}");
}

#[test]
fn a_reply_that_is_on_its_way_is_waited_for() {
    let mut program = Program::start();
    let mut client = program.connect();
    client.send("POST", "/wait", "");
    let answer = program.waiting.recv_timeout(PATIENCE).unwrap();
    // The program stops before it has answered: the socket goes first.
    let (socket, control) = (program.socket(), program.control());
    let stopping = thread::spawn(move || control.stop(PATIENCE));
    while socket.exists() {
        thread::yield_now();
    }
    answer.send(()).unwrap();
    assert_eq!(client.answer().0, 204);
    stopping.join().unwrap();
}

#[test]
fn stopping_ends_in_time_though_every_place_is_taken_and_never_given_back() {
    let mut program = Program::with(|settings| settings.max_connections = 1);
    let mut client = program.connect();
    client.send("POST", "/wait", "");
    // Never answered, so whoever asked keeps the only place.
    let _answer = program.waiting.recv_timeout(PATIENCE).unwrap();
    let control = program.control();
    let (stopped, is_stopped) = mpsc::channel();
    // A thread that the test does not wait for: one that hangs would hang it.
    thread::spawn(move || {
        control.stop(Duration::from_millis(50));
        let _ = stopped.send(());
    });
    is_stopped.recv_timeout(PATIENCE).expect("it waits for clients");
}

#[test]
fn scrapers_get_figures_and_nothing_else() {
    let program = Program::with(|settings| settings.metrics_listen = Some(([127, 0, 0, 1], 0).into()));
    let address = program.control.as_ref().unwrap().metrics_address().unwrap();
    let ask = |path: &str| {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: game\r\nConnection: close\r\n\r\n").unwrap();
        io::read_to_string(stream).unwrap()
    };
    assert!(ask("/metrics").ends_with("figures"));
    assert!(ask("/hello").starts_with("HTTP/1.1 404"));
}
