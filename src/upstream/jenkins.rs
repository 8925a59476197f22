//! Asks jenkins.
