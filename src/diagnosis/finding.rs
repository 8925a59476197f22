//! What a cluster said becomes a finding; boxes and finding become the place where the path is broken.
