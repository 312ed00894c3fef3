# One image with every executable; docker-compose.yml picks one a container.
FROM debian:bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config libczmq-dev libzmq3-dev libcjson-dev \
        libmicrohttpd-dev libcurl4-gnutls-dev libsqlite3-dev libisal-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY CMakeLists.txt CMakePresets.json ./
COPY common common
COPY broker broker
COPY services services
COPY cli cli
RUN cmake --preset release -DFAULTLINE_WERROR=OFF -DFAULTLINE_STORIES= \
    && cmake --build --preset release \
    && strip build/release/bin/*

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        libczmq4 libzmq5 libcjson1 libmicrohttpd12 libcurl3-gnutls libsqlite3-0 libisal2 \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
    && useradd --system --uid 10001 --no-create-home faultline \
    && install -d -o faultline -g faultline /data
COPY --from=build /src/build/release/bin/ /usr/local/bin/
USER faultline
WORKDIR /data
VOLUME /data
ENV HTTP_ADDRESS=0.0.0.0 DATA_DIR=/data
CMD ["faultline", "--help"]
