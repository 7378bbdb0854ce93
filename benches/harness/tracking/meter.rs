//! What a server and the load used of their cores in a window.

use std::io;
use std::process;
use std::time::{Duration, Instant};

use crate::process::cpu_time;

/// A window that is open.
#[derive(Debug)]
pub(super) struct Meter {
    server: i32,
    load: i32,
    begin: Instant,
    server_cpu: Duration,
    load_cpu: Duration,
}

/// What was used in a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    pub(super) wall_s: f64,
    pub(super) server_cpu_s: f64,
    pub(super) load_cpu_s: f64,
}

impl Meter {
    /// Opens a window on a server that this process loads.
    ///
    /// # Errors
    /// When there is no such process.
    pub(super) fn start(server: i32) -> io::Result<Self> {
        Self::start_beside(server, i32::try_from(process::id()).map_err(io::Error::other)?)
    }

    /// Opens a window on a server that another process loads.
    ///
    /// # Errors
    /// When there is no such process.
    pub(super) fn start_beside(server: i32, load: i32) -> io::Result<Self> {
        let (server_cpu, load_cpu) = (cpu_time(server)?, cpu_time(load)?);
        Ok(Self { server, load, begin: Instant::now(), server_cpu, load_cpu })
    }

    /// What was used until now.
    ///
    /// # Errors
    /// When a process has ended.
    pub(super) fn used(&self) -> io::Result<Used> {
        let wall_s = self.begin.elapsed().as_secs_f64();
        let server_cpu_s = cpu_time(self.server)?.saturating_sub(self.server_cpu).as_secs_f64();
        let load_cpu_s = cpu_time(self.load)?.saturating_sub(self.load_cpu).as_secs_f64();
        Ok(Used { wall_s, server_cpu_s, load_cpu_s })
    }
}

impl Used {
    /// The figures that each round has, for so many answers.
    pub(super) fn figures(&self, answers: f64) -> [(&'static str, f64); 4] {
        [
            ("answers_per_cpu_s", answers / self.server_cpu_s),
            ("answers_per_s", answers / self.wall_s),
            ("server_share", self.server_cpu_s / self.wall_s),
            ("load_share", self.load_cpu_s / self.wall_s),
        ]
    }
}
