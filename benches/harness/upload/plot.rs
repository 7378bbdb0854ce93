//! Throughput by connections, drawn (SVG).

use std::path::Path;

use plotters::prelude::*;

use super::Part;
use super::connections::case;
use super::result::{Outcome, Round};
use crate::contender::Contender;

const SIZE: (u32, u32) = (820, 460);
const MARGIN: u32 = 14;
const LABEL_AREA: u32 = 46;
const POINT: u32 = 4;
/// So much of the height is left free above the highest point: the legend stands there.
const HEADROOM: f64 = 1.4;
/// And of the width beside the last.
const SIDEROOM: f64 = 1.1;

/// A line of the plot.
struct Line {
    contender: Contender,
    points: Vec<(f64, f64)>,
}

/// Draws GB per CPU second of all contenders over the number of connections into `path`.
///
/// # Errors
/// When nothing was measured, or it cannot be written.
pub fn draw(outcome: &Outcome, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let lines: Vec<Line> = outcome.settings.contenders.iter().map(|&it| line(outcome, it)).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    let most = points().map(|point| point.1).fold(0.0, f64::max) * HEADROOM;
    let width = points().map(|point| point.0).fold(1.0, f64::max);
    if most == 0.0 {
        return Err("nothing was measured that could be drawn".into());
    }
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("upload, payload in memory, one core", ("sans-serif", 18))
        .margin(MARGIN)
        .x_label_area_size(LABEL_AREA)
        .y_label_area_size(LABEL_AREA)
        .build_cartesian_2d((1.0..width * SIDEROOM).log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc("connections")
        .y_desc("GB per CPU second")
        .x_label_formatter(&|connections| format!("{connections:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .draw()?;
    for Line { contender, points } in lines {
        let color = color(contender);
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)).point_size(POINT))?
            .label(contender.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}

fn line(outcome: &Outcome, contender: Contender) -> Line {
    let connections = outcome.settings.connections.iter();
    let points = connections.filter_map(|&connections| {
        let rate = outcome.median(Part::Connections, &case(connections), contender, Round::gb_per_cpu_s)?;
        Some((f64::from(u32::try_from(connections).ok()?), rate))
    });
    Line { contender, points: points.collect() }
}

fn color(contender: Contender) -> RGBColor {
    match contender {
        Contender::Btd => RGBColor(200, 30, 30),
        Contender::Libtorrent => RGBColor(30, 110, 200),
        Contender::Rtorrent => RGBColor(30, 150, 60),
        Contender::Rqbit => RGBColor(160, 100, 20),
        Contender::Reference => RGBColor(120, 120, 120),
    }
}
