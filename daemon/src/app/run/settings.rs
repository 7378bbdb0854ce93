//! The configuration, as each room wants it.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use service::control;

use crate::catalog::{Goals, Hooks, Roots, Settings};
use crate::config::{Hook, RunConfig};

/// What the catalog is told, also when the configuration is read anew.
pub(super) fn catalog(config: &RunConfig) -> Settings {
    Settings {
        data_dir: config.data_dir.clone(),
        incomplete_dir: config.incomplete_dir.clone(),
        placing: config.placing.clone(),
        roots: roots(&config.control_roots),
        goals: Goals { ratio: config.ratio_limit, seed_time: config.seed_time_limit },
        hooks: Hooks { on_complete: command(&config.on_complete), on_error: command(&config.on_error) },
        max_active: config.active_downloads,
        swarm: config.swarm,
        limits: config.serve.limits,
        watch_dir: config.watch_dir.clone(),
    }
}

/// What the control API is told.
pub(super) fn control(config: &RunConfig, inherited: Option<UnixListener>) -> control::Settings {
    let usual = control::Settings::new(config.control_socket.clone()).with_group(config.control_gid);
    control::Settings { inherited, metrics_listen: config.metrics_listen, ..usual }
}

/// Everything may be named where the root of the file system is among the roots.
fn roots(roots: &[PathBuf]) -> Roots {
    let is_all = roots.iter().any(|root| root == Path::new("/"));
    Roots((!is_all).then(|| roots.to_vec()))
}

fn command(hook: &Option<Hook>) -> Vec<String> {
    let words = |hook: &Hook| std::iter::once(hook.program.clone()).chain(hook.arguments.clone()).collect();
    hook.as_ref().map(words).unwrap_or_default()
}
