# syntax=docker/dockerfile:1

# The dependencies are built from the manifests alone, so that this layer is kept until one of them changes.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY crates/jose/Cargo.toml crates/jose/
COPY crates/authority/Cargo.toml crates/authority/
COPY crates/store/Cargo.toml crates/store/
COPY crates/http/Cargo.toml crates/http/
COPY crates/cli/Cargo.toml crates/cli/
COPY crates/wire/Cargo.toml crates/wire/
COPY crates/pgserver/Cargo.toml crates/pgserver/
COPY xtask/Cargo.toml xtask/
RUN for crate in crates/jose crates/authority crates/store crates/http crates/wire crates/pgserver; do \
        mkdir -p $crate/src && echo '//! Stub.' > $crate/src/lib.rs; \
    done && \
    mkdir -p crates/cli/src xtask/src && \
    printf '//! Stub.\nfn main() {}\n' | tee crates/cli/src/main.rs > xtask/src/main.rs && \
    cargo build --release --locked --package jotd
COPY crates crates
COPY xtask xtask
# Newer than what the layer above has built.
RUN find crates xtask -name '*.rs' -exec touch {} + && \
    cargo build --release --locked --package jotd && \
    mkdir -p /out/data && cp target/release/jotd /out/jotd

# No shell, no package manager, nothing but the C library and certificates.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/jotd /usr/local/bin/jotd
# A volume starts with the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /out/data /var/lib/jotd
ENV JOTD_LISTEN=0.0.0.0:8000 JOTD_DATA_DIR=/var/lib/jotd
USER 65532:65532
VOLUME /var/lib/jotd
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s CMD ["/usr/local/bin/jotd", "health"]
ENTRYPOINT ["/usr/local/bin/jotd"]
CMD ["serve"]
