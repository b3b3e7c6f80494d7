# The image of Tidemark: one program, no shell, no root.
#
#   make image        builds it
#   make image-test   starts it with a sidecar, looks into it and uses it
#
# Both bases are arguments. On a machine that reaches no registry, `make image` gives it look-alikes made from
# Debian's packages (deploy/stand-ins); digests are of the images for several platforms.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

FROM ${RUST_IMAGE} AS toolchain
# The image's own toolchain as it is: rust-toolchain.toml also asks for components that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    cargo install --quiet --locked cargo-chef@0.1.78 cargo-cyclonedx@0.5.9
WORKDIR /source

FROM toolchain AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM toolchain AS build
# Dependencies are a layer of their own, which lasts until Cargo.lock changes.
COPY --from=plan /source/recipe.json .
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    cargo chef cook --locked --release --package tidemark --bin tidemark --recipe-path recipe.json
COPY . .
# The time of the commit, so that the same source gives the same list of components and the same layer.
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    cargo build --locked --release --package tidemark --bin tidemark && \
    cargo cyclonedx --quiet --manifest-path app/tidemark/Cargo.toml --format json --spec-version 1.5 \
        --target "$(rustc -vV | sed -n 's/^host: //p')" --no-build-deps --override-filename tidemark.cdx && \
    install -D --mode=0755 target/release/tidemark /image/usr/local/bin/tidemark && \
    strip /image/usr/local/bin/tidemark && \
    install -D --mode=0644 app/tidemark/tidemark.cdx.json /image/usr/local/share/tidemark/tidemark.cdx.json && \
    find /image -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=https://github.com/tidemark/tidemark
LABEL org.opencontainers.image.title="Tidemark" \
      org.opencontainers.image.description="A collaborative task board in which every change leaves a mark" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.url="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}/blob/main/README.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /image/ /
# Numbers, because Kubernetes can only tell from a number that it is not root.
USER 65532:65532
# In a container others must reach the port. The app channel stays on loopback unless the sidecar is in a
# container of its own.
ENV HTTP_ADDRESS=0.0.0.0:3001 LOG_FORMAT=json
EXPOSE 3001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/usr/local/bin/tidemark", "health"]
ENTRYPOINT ["/usr/local/bin/tidemark"]
CMD ["serve"]
