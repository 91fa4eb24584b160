//! Curves as a picture: SVG text, one panel per curve, sizes on a logarithmic scale.

use std::fmt;

/// What one size of each server costs, for rising sizes.
pub struct Curve {
    pub what: &'static str,
    pub points: Vec<(usize, Vec<(&'static str, f64)>)>,
}

impl Curve {
    /// The servers, in the order in which they first come.
    fn servers(&self) -> Vec<&'static str> {
        let mut servers = Vec::new();
        for (server, _) in self.points.iter().flat_map(|(_, figures)| figures) {
            if !servers.contains(server) {
                servers.push(*server);
            }
        }
        servers
    }

    /// The points of one server.
    fn of(&self, server: &str) -> Vec<(usize, f64)> {
        let figure =
            |figures: &[(&str, f64)]| figures.iter().find(|(name, _)| *name == server).map(|(_, figure)| *figure);
        self.points.iter().filter_map(|(size, figures)| Some((*size, figure(figures)?))).collect()
    }

    /// What the last point of each server is to its first.
    pub fn growth(&self) -> Vec<(&'static str, f64)> {
        let ratio = |server| {
            let points = self.of(server);
            Some((server, points.last()?.1 / points.first()?.1))
        };
        self.servers().into_iter().filter_map(ratio).collect()
    }
}

/// A caption and the curves below it.
pub struct Picture<'a>(pub &'a str, pub &'a [Curve]);

/// The size of a panel's plot, and what is left around it.
const WIDTH: f64 = 280.0;
const HEIGHT: f64 = 200.0;
const MARGIN: f64 = 50.0;

fn colour(server: &str) -> &'static str {
    match server {
        "Fairlead" => "#0060c0",
        "gdnsd" => "#c06000",
        _ => "#508030",
    }
}

impl fmt::Display for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(caption, curves) = self;
        let width = curves.len() as f64 * (WIDTH + MARGIN) + MARGIN;
        let height = HEIGHT + 3.0 * MARGIN;
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
             <text x=\"{MARGIN}\" y=\"20\">{caption}</text>"
        )?;
        let all = curves.iter().flat_map(|curve| curve.points.iter().flat_map(|(_, figures)| figures));
        let top = all.map(|(_, figure)| *figure).fold(1.0, f64::max).ceil();
        for (at, curve) in curves.iter().enumerate() {
            panel(f, curve, at as f64 * (WIDTH + MARGIN) + MARGIN, top)?;
        }
        writeln!(f, "</svg>")
    }
}

fn panel(f: &mut fmt::Formatter<'_>, curve: &Curve, left: f64, top: f64) -> fmt::Result {
    let bottom = HEIGHT + MARGIN;
    let sizes = || curve.points.iter().map(|(size, _)| *size);
    let (first, last) = (sizes().min().unwrap_or(1) as f64, sizes().max().unwrap_or(2) as f64);
    let x = |size: usize| left + (size as f64 / first).ln() / (last / first).ln() * (WIDTH - 20.0);
    let y = |figure: f64| bottom - figure / top * HEIGHT;
    writeln!(f, "<text x=\"{left}\" y=\"{}\">{}</text>", bottom + 35.0, curve.what)?;
    for step in 0..=top as usize {
        let at = y(step as f64);
        writeln!(
            f,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{at}\" y2=\"{at}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{step}</text>",
            left + WIDTH - 20.0,
            left - 4.0,
            at + 4.0
        )?;
    }
    for size in sizes() {
        writeln!(f, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{size}</text>", x(size), bottom + 16.0)?;
    }
    for (row, server) in curve.servers().into_iter().enumerate() {
        let points = curve.of(server);
        let colour = colour(server);
        let line: Vec<String> =
            points.iter().map(|(size, figure)| format!("{:.1},{:.1}", x(*size), y(*figure))).collect();
        writeln!(f, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", line.join(" "))?;
        for (size, figure) in points {
            writeln!(f, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(size), y(figure))?;
        }
        let below = bottom - 12.0 - 14.0 * row as f64;
        writeln!(f, "<text x=\"{}\" y=\"{below}\" fill=\"{colour}\">{server}</text>", left + 8.0)?;
    }
    Ok(())
}
