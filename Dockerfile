# The image of a node. It takes the release binary that was built on the host: run `scripts/image`,
# which also makes the base image on a machine without a registry.
FROM mapring-base:bookworm

# Without a shell or a home; the number is what volumes are owned by.
RUN useradd --system --uid 8098 --no-create-home --shell /usr/sbin/nologin mapring \
 && install --directory --owner=mapring --group=mapring /data

COPY target/image/mapring /usr/local/bin/mapring

USER mapring
VOLUME /data
EXPOSE 8098 8099

# Inside a container every address is the container's own. The one of the cluster stays loopback: a node
# by itself needs no other, and with others it needs a secret as well, see docker-compose.yml.
ENV MAPRING__NODE__DATA_DIR=/data \
    MAPRING__HTTP__LISTEN=0.0.0.0:8098

STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["mapring", "live"]
ENTRYPOINT ["mapring"]
CMD ["server"]
