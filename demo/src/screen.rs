//! What one sees while the writers write: a live table on a terminal, a line a second elsewhere.
//!
//! Invariant: the terminal gets its cursor and its line wrapping back however the demo ends.

use std::io::{IsTerminal, Write, stdout};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, interval_at, sleep};

use crate::board::Board;
use crate::server::{Result, Server};
use crate::writers::Writers;

const FRAME: Duration = Duration::from_millis(200);
const FRAMES_PER_LINE: u32 = 5;

/// Shows the figures until the time is over, Ctrl-C is pressed, or a writer fails.
pub async fn watch(server: &Server, writers: &Writers, duration: Duration) -> Result<()> {
    let client = server.connect().await?;
    let mut board = Board::new(&client, duration).await?;
    let mut canvas = Canvas::new();
    let mut interrupt = pin!(tokio::signal::ctrl_c());
    let mut end = pin!(sleep(duration));
    let mut beat = interval_at(Instant::now() + FRAME, FRAME);
    while !writers.failed() {
        tokio::select! {
            _ = &mut interrupt => break,
            _ = &mut end => break,
            _ = beat.tick() => {}
        }
        board.look(&client, writers).await?;
        canvas.show(&board)?;
    }
    canvas.leave(&board)
}

/// Where the figures go.
enum Canvas {
    Terminal { _until_dropped: RawScreen },
    Lines { frames: u32 },
}

impl Canvas {
    fn new() -> Canvas {
        if stdout().is_terminal() {
            Canvas::Terminal { _until_dropped: RawScreen::enter() }
        } else {
            Canvas::Lines { frames: 0 }
        }
    }

    fn show(&mut self, board: &Board) -> Result<()> {
        match self {
            Canvas::Terminal { .. } => paint(board)?,
            Canvas::Lines { frames } => {
                *frames += 1;
                if frames.is_multiple_of(FRAMES_PER_LINE) {
                    writeln!(stdout(), "{}", board.line())?;
                }
            }
        }
        Ok(())
    }

    /// The last frame stays on a terminal; a log gets the table once.
    fn leave(self, board: &Board) -> Result<()> {
        if let Canvas::Lines { .. } = self {
            writeln!(stdout(), "{}", board.table().join("\n"))?;
        }
        Ok(())
    }
}

/// Draws over the previous frame, so that nothing flickers.
fn paint(board: &Board) -> std::io::Result<()> {
    let mut frame = String::from("\x1b[H");
    for line in board.table() {
        frame.push_str(&line);
        frame.push_str("\x1b[K\n");
    }
    frame.push_str("\x1b[J");
    let mut out = stdout().lock();
    out.write_all(frame.as_bytes())?;
    out.flush()
}

/// A cleared terminal without cursor and line wrapping.
struct RawScreen;

impl RawScreen {
    fn enter() -> RawScreen {
        print!("\x1b[2J\x1b[?25l\x1b[?7l");
        RawScreen
    }
}

impl Drop for RawScreen {
    fn drop(&mut self) {
        print!("\x1b[?25h\x1b[?7h");
        // The terminal was closed: there is nothing to restore.
        let _ = stdout().flush();
    }
}
