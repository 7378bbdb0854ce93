//! aquatic's load for trackers over UDP, and what it prints. It checks nothing: that is done beside it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddrV4;
use std::process::{Child, Command, Stdio};

use super::contender::aquatic;
use super::meter::{Meter, Used};
use super::{Bench, Settings};

/// Every so many seconds it prints what has come.
const PERIOD_S: u32 = 5;
/// More refusals among answers are a failure: a few peers have port 0, which no tracker need take.
const MAX_ERROR_SHARE: f64 = 0.001;

/// What it prints for one period; all but the last are for each second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Period {
    pub(super) requests: f64,
    pub(super) connects: f64,
    pub(super) announces: f64,
    pub(super) scrapes: f64,
    pub(super) errors: f64,
    pub(super) peers_each: f64,
}

/// What came of it in the periods that count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) used: Used,
    /// Mean of the periods.
    pub(super) mean: Period,
}

/// Puts its load on a server.
///
/// # Errors
/// When it is not there, fails, or is refused.
pub(super) fn run(bench: &Bench<'_>, server: SocketAddrV4, pid: i32) -> io::Result<Report> {
    let path = bench.folder.join("aquatic_udp_load_test.toml");
    fs::write(&path, config(bench.settings, server))?;
    let program = aquatic(bench.places, "aquatic_udp_load_test");
    let mut command = Command::new(&program);
    command.arg("-c").arg(&path).stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(File::create(bench.places.log("tracker-load"))?);
    let explain = |error| io::Error::other(format!("cannot start {}: {error}", program.display()));
    let mut child = command.spawn().map_err(explain)?;
    let report = follow(&mut child, bench.settings, pid);
    if report.is_err() {
        let _ = child.kill();
    }
    let status = child.wait()?;
    let report = report?;
    if !status.success() {
        return Err(io::Error::other(format!("its load ended with {status}")));
    }
    judge(&report.mean).map(|()| report)
}

/// Reads what it prints, and what server and load have used when it does.
fn follow(child: &mut Child, settings: &Settings, server: i32) -> io::Result<Report> {
    let load = i32::try_from(child.id()).map_err(io::Error::other)?;
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no pipe for stdout"))?;
    let (length_s, warm_s) = settings.udp_time_s;
    let (wanted, warm) = (length_s / PERIOD_S, warm_s / PERIOD_S);
    let mut reader = Reader::default();
    let (mut periods, mut meter, mut used, mut begun) = (Vec::new(), None, None, 0);
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if Reader::begins(&line) {
            begun += 1;
            if begun == warm {
                meter = Some(Meter::start_beside(server, load)?);
            } else if begun == wanted {
                used = meter.as_ref().map(Meter::used).transpose()?;
            }
        }
        if let Some(period) = reader.read(&line) {
            periods.push(period);
        }
    }
    let counted = periods.get(usize::try_from(warm).unwrap_or_default()..).unwrap_or_default();
    match (used, counted) {
        (Some(used), [_, ..]) => Ok(Report { used, mean: mean(counted) }),
        _ => Err(io::Error::other(format!("its load printed {} of {wanted} periods", periods.len()))),
    }
}

fn mean(periods: &[Period]) -> Period {
    let count = f64::from(u32::try_from(periods.len()).unwrap_or(u32::MAX));
    let mean = |figure: fn(&Period) -> f64| periods.iter().map(figure).sum::<f64>() / count;
    Period {
        requests: mean(|it| it.requests),
        connects: mean(|it| it.connects),
        announces: mean(|it| it.announces),
        scrapes: mean(|it| it.scrapes),
        errors: mean(|it| it.errors),
        peers_each: mean(|it| it.peers_each),
    }
}

fn judge(mean: &Period) -> io::Result<()> {
    let answers = mean.connects + mean.announces + mean.scrapes;
    match mean {
        // Not a number without any answer.
        Period { peers_each, .. } if peers_each.is_nan() || *peers_each < 1.0 => {
            Err(io::Error::other(format!("answers with {peers_each:.2} peers each")))
        }
        Period { errors, .. } if *errors > answers * MAX_ERROR_SHARE => {
            Err(io::Error::other(format!("{errors:.2} refusals a second beside {answers:.0} answers")))
        }
        _ => Ok(()),
    }
}

fn config(settings: &Settings, server: SocketAddrV4) -> String {
    let (duration, torrents) = (settings.udp_time_s.0, settings.load_torrents);
    let peers = torrents * 2;
    format!(
        "server_address = \"{server}\"\nlog_level = \"error\"\nworkers = 1\nduration = {duration}\n\
         extra_statistics = false\n[network]\nmultiple_client_ipv4s = true\nsockets_per_worker = 4\n\
         [requests]\nnumber_of_torrents = {torrents}\nnumber_of_peers = {peers}\nannounce_peers_wanted = 30\n"
    )
}

/// Reads what it prints, line by line.
#[derive(Debug, Default)]
struct Reader {
    period: Period,
}

impl Reader {
    /// Whether a period has just ended.
    fn begins(line: &str) -> bool {
        line.starts_with("Requests out:")
    }

    /// Takes a line; returns a period with its last one.
    fn read(&mut self, line: &str) -> Option<Period> {
        let (name, value) = line.split_once(':')?;
        let value = value.trim().trim_end_matches("/second").parse().ok()?;
        match name.trim_start_matches([' ', '-']) {
            "Requests out" => self.period = Period { requests: value, ..Period::default() },
            "Connect responses" => self.period.connects = value,
            "Announce responses" => self.period.announces = value,
            "Scrape responses" => self.period.scrapes = value,
            "Error responses" => self.period.errors = value,
            "Peers per announce response" => {
                self.period.peers_each = value;
                return Some(self.period);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.9.0 prints it.
    const TEXT: &str = "\
Starting client with config: Config {
    server_address: 127.0.0.1:3000,
    duration: 10,
}


Requests out: 412345.67/second
Responses in: 400000.50/second
  - Connect responses:  198000.25
  - Announce responses: 198000.25
  - Scrape responses:   4000.00
  - Error responses:    1.50
Peers per announce response: 17.25

Requests out: 0.00/second
Responses in: 0.00/second
  - Connect responses:  0.00
  - Announce responses: 0.00
  - Scrape responses:   0.00
  - Error responses:    0.00
Peers per announce response: NaN

# aquatic load test report

Test ran for 10 seconds
Average responses per second: 200000.25
  - Connect responses:  99000.12
  - Announce responses: 99000.12
";

    #[test]
    fn periods_are_read_as_they_are_printed() {
        let mut reader = Reader::default();
        let periods = Vec::from_iter(TEXT.lines().filter_map(|line| reader.read(line)));
        let [first, second] = periods[..] else { panic!("{periods:?}") };
        let wanted = Period {
            requests: 412_345.67,
            connects: 198_000.25,
            announces: 198_000.25,
            scrapes: 4_000.0,
            errors: 1.5,
            peers_each: 17.25,
        };
        assert_eq!(first, wanted);
        assert!(second.peers_each.is_nan());
        assert_eq!(TEXT.lines().filter(|line| Reader::begins(line)).count(), 2);
        assert!(judge(&first).is_ok());
        assert!(judge(&second).is_err());
        assert!(judge(&Period { errors: 4_000.0, ..first }).is_err());
        assert_eq!(mean(&[first, Period { announces: 0.0, ..first }]).announces, 99_000.125);
    }
}
