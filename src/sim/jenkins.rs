//! Simulated jenkins.
