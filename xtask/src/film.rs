//! The film that examples/hello shows: a fall into the Mandelbrot set, in letters.

const WIDTH: u32 = 76;
/// FILM_LINES in hello.c.
const LINES: u32 = 21;
const FRAMES: u32 = 24;

/// Where the fall ends, and how wide the first frame is.
const CENTRE: (f64, f64) = (-0.743_643_887, 0.131_825_904);
const FIRST_WIDTH: f64 = 3.2;
const ZOOM: f64 = 1.35;
/// A letter is twice as high as wide.
const LETTER_HEIGHT: f64 = 2.0;

const ROUNDS: usize = 400;
const SHADES: &[u8] = b" .,:;-=+*oxOX%@";

/// All frames, line by line. Only sums and products are used, so that every machine computes the
/// same.
pub fn frames() -> Vec<u8> {
    let mut film = Vec::new();
    let mut step = FIRST_WIDTH / f64::from(WIDTH);
    for _ in 0..FRAMES {
        for line in 0..LINES {
            let y = CENTRE.1 + (f64::from(line) - f64::from(LINES) / 2.0) * step * LETTER_HEIGHT;
            for column in 0..WIDTH {
                let x = CENTRE.0 + (f64::from(column) - f64::from(WIDTH) / 2.0) * step;
                film.push(shade(x, y));
            }
            film.push(b'\n');
        }
        step /= ZOOM;
    }
    film
}

fn shade(x: f64, y: f64) -> u8 {
    let (mut a, mut b) = (0.0, 0.0);
    for round in 0..ROUNDS {
        if a * a + b * b > 4.0 {
            return SHADES[round % SHADES.len()];
        }
        (a, b) = (a * a - b * b + x, 2.0 * a * b + y);
    }
    b'#'
}
