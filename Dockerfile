# Gauntlet's programs in a small image: coordinator, worker and everything a person types.
#
#   docker build --target cpu  -t gauntlet:cpu .
#   docker build --target cuda -t gauntlet:cuda .
#
# Both targets hold what `./dev package` makes. CUDA's libraries come from wheels and the driver from the machine (NVIDIA's
# container toolkit), so that neither needs a CUDA image.

FROM debian:12-slim AS source
ENV DEBIAN_FRONTEND=noninteractive
COPY . /src
WORKDIR /src

FROM source AS build-cpu
RUN GAUNTLET_DEVICE=cpu ./dev package && mkdir /package && tar -xzf dist/*-cpu.tar.gz -C /package --strip-components=1

FROM source AS build-cuda
RUN GAUNTLET_DEVICE=cuda ./dev package && mkdir /package && tar -xzf dist/*-cuda.tar.gz -C /package --strip-components=1

FROM debian:12-slim AS runtime
# tini reaps what attempts leave behind; curl asks /healthz; gnuplot draws for `gauntlet plot`.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends curl gnuplot-nox tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --create-home --home-dir /var/lib/gauntlet --shell /usr/sbin/nologin gauntlet
COPY deploy/container/entrypoint.sh /usr/local/bin/gauntlet-entrypoint
ENV PATH=/opt/gauntlet/bin:/usr/local/bin:/usr/bin:/bin GAUNTLET_WORKDIR=/var/lib/gauntlet
WORKDIR /opt/gauntlet
VOLUME /var/lib/gauntlet
USER 10001:10001
# A worker lets its attempts end by themselves after SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "gauntlet-entrypoint"]
CMD ["doctor"]

FROM runtime AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /package /opt/gauntlet

# The last target is what `docker build .` makes.
FROM runtime AS cpu
COPY --from=build-cpu /package /opt/gauntlet
