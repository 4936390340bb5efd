# syntax=docker/dockerfile:1
# The daemon without the demo's servers. Build: docker build -t runwatch . ; run: see docs/deploying.md
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
RUN python3 -m venv /opt/runwatch
COPY deploy/image.lock deploy/image.lock
RUN /opt/runwatch/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r deploy/image.lock
COPY pyproject.toml README.md LICENSE ./
COPY monitor monitor
COPY checks checks
COPY alerts alerts
RUN /opt/runwatch/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/runwatch/bin/pip uninstall --yes pip

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /var/lib/runwatch --create-home runwatch
COPY --from=build /opt/runwatch /opt/runwatch
ENV PATH=/opt/runwatch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    RUNWATCH_STORE=sqlite:///var/lib/runwatch/runwatch.db \
    RUNWATCH_LOG_FORMAT=json
USER 10001
WORKDIR /var/lib/runwatch
VOLUME /var/lib/runwatch
EXPOSE 9876
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import sys, urllib.request as r; sys.exit(r.urlopen('http://127.0.0.1:9876/-/healthy', timeout=4).status != 200)"]
ENTRYPOINT ["runwatch"]
CMD ["run"]
