//! One torrent in memory: payload for each second of CPU time, over the number of connections, of all contenders.

use std::slice;

use super::contest::contest;
use super::result::{Outcome, Row};
use super::{Bench, Part, SERVER_CORE};

impl Bench<'_> {
    /// For each number of connections all contenders are started afresh.
    pub(super) fn measure_connections(&self, outcome: &mut Outcome) {
        for &connections in &self.settings.connections {
            let mut entrants = Vec::new();
            for &contender in &self.settings.contenders {
                let server = contender.start(self.places, &self.torrent, SERVER_CORE);
                if let Ok(server) = &server {
                    outcome.describe(contender, server.ready());
                }
                let plan = self.plan_for(slice::from_ref(&self.torrent), connections);
                let row = Row::new(Part::Connections, case(connections), contender);
                entrants.push(self.entrant(row, server, plan));
            }
            outcome.rows.extend(contest(self.settings.rounds, entrants));
        }
    }
}

/// How the rows are named.
pub(super) fn case(connections: usize) -> String {
    match connections {
        1 => "1 connection".to_owned(),
        _ => format!("{connections} connections"),
    }
}
