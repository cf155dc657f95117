//! Draws curves as SVG.

use std::fmt::Write as _;

/// A name and points: a position on the horizontal axis, and a value.
pub(crate) type Curve = (&'static str, Vec<(f64, f64)>);

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 110.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 44.0;
/// Colours that people with colour blindness can tell apart, too.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"];

/// Draws curves. The vertical axis begins at zero; the horizontal axis may be logarithmic.
pub(crate) fn svg(title: &str, x: &str, y: &str, logarithmic: bool, curves: &[Curve]) -> String {
    let place = |at: f64| if logarithmic { at.max(1.0).log10() } else { at };
    let points = || curves.iter().flat_map(|(_, points)| points);
    let least = points()
        .map(|(at, _)| place(*at))
        .fold(f64::INFINITY, f64::min);
    let most = points()
        .map(|(at, _)| place(*at))
        .fold(f64::NEG_INFINITY, f64::max);
    let highest = points().map(|(_, value)| *value).fold(0.0, f64::max) * 1.1;
    let across = |at: f64| LEFT + (place(at) - least) / (most - least) * (WIDTH - LEFT - RIGHT);
    let up = |value: f64| HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>\n\
         <text x=\"{LEFT}\" y=\"{:.0}\">{x}</text>\n\
         <text x=\"{LEFT}\" y=\"{:.0}\" text-anchor=\"end\">{y}</text>\n",
        HEIGHT - 8.0,
        TOP - 4.0,
    );
    for step in 0..=4 {
        let value = highest * f64::from(step) / 4.0;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/><text x=\"{2:.1}\" y=\"{1:.1}\" text-anchor=\"end\">{value:.1}</text>",
            WIDTH - RIGHT,
            up(value),
            LEFT - 6.0,
        );
    }
    let mut places: Vec<_> = points().map(|(at, _)| *at).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    for at in places {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at}</text>",
            across(at),
            HEIGHT - BOTTOM + 16.0,
        );
    }
    for ((name, points), colour) in curves.iter().zip(COLOURS) {
        let line: Vec<_> = points
            .iter()
            .map(|(at, value)| format!("{:.1},{:.1}", across(*at), up(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        if let Some((at, value)) = points.last() {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
                across(*at) + 6.0,
                up(*value) + 4.0
            );
        }
    }
    svg + "</svg>\n"
}
