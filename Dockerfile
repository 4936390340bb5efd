# syntax=docker/dockerfile:1
# The daemon without the demo's servers. Build: docker build -t runwatch . ; run: docs/operating.md
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
COPY deploy/systems deploy/systems
COPY docs/coverage.json docs/coverage.json
RUN /opt/runwatch/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/runwatch/bin/pip uninstall --yes pip

FROM ${BASE}
RUN echo 'runwatch:x:10001:10001:runwatch:/var/lib/runwatch:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'runwatch:x:10001:' >> /etc/group \
    && install -d -m 0700 -o 10001 -g 10001 /var/lib/runwatch
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
# Asks at the port of RUNWATCH_LISTEN, else at 9876.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["python", "-c", "\
import os, sys, urllib.request as r; port = os.environ.get('RUNWATCH_LISTEN', ':9876').rpartition(':')[2]; \
sys.exit(r.urlopen(f'http://127.0.0.1:{port}/-/healthy', timeout=4).status != 200)"]
ENTRYPOINT ["runwatch"]
CMD ["run"]
