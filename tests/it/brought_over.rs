//! Databases of version 0.1.0 with an alert in each state. How they were made, and what is in them: `tests/old/README.md`.

mod make;
mod world;
