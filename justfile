# What is done often, by name: https://just.systems. Each recipe is a script or one command, so that `just` is not needed.

# Names the recipes.
default:
    @just --list --unsorted

# An alert becomes a note, against simulated upstreams: `just demo mixed`.
demo scenario="service-endpoint":
    cargo run -- demo --scenario {{ scenario }}

# What a change needs before it is sent: format and lints.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --locked --all-targets -- -D warnings

# The unit tests with this in their path: `just unit console`.
unit filter="":
    cargo test --workspace --locked --lib -- {{ filter }}

# The stories with this in their path: `just story restart`.
story filter:
    cargo test --locked --test it -- {{ filter }}

# The same on PostgreSQL.
story-on-postgres filter:
    STORIES_ON=postgres cargo test --locked --test it -- {{ filter }}

# The manifests of deploy/, rendered and held against schemas and rules.
manifests:
    tests/deploy/run

# The image, built and run read-only; with a binary that is built already: `just image target/release/se-responder`.
image *binary:
    tests/image/run {{ binary }}

# Every test.
test:
    scripts/test

# What CI runs.
ci:
    .ci/run

# What takes hours, before a release; or these parts of it.
check-release *parts:
    scripts/check-release {{ parts }}

# The pure rules, changed in every small way: `just mutants -f verdict.rs`.
mutants *arguments:
    scripts/mutants {{ arguments }}

# Alert rules and dashboard; unit, compose, hosted CI and the scripts of a release.
deploy:
    tests/deploy/rules
    tests/deploy/units

# What is in the deployed binary, as CycloneDX.
sbom file="-":
    scripts/sbom {{ file }}

# What a release consists of, or what is in its way: `just release 0.2.0 --dry-run`.
release version *arguments:
    scripts/release {{ version }} {{ arguments }}

# Licences, bans and sources of all dependencies.
deny:
    cargo deny --offline check bans licenses sources
