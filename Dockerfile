# `logolens serve` in a container: the core and the extras serve and words, no PyTorch, no root.
#
#   docker build -t logolens .
#   docker run --rm -p 127.0.0.1:8000:8000 -v "$PWD/brands:/bundles/brands:ro" logolens
#
# See docs/how-to/serve.md.
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/logolens
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE hatch_build.py ./
COPY src ./src
RUN /opt/logolens/bin/pip install -c constraints.txt '.[serve,words]'

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="logolens" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin logolens
COPY --from=build /opt/logolens /opt/logolens
ENV PATH=/opt/logolens/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /bundles
EXPOSE 8000
# As `logolens serve` is ended in good order: what was taken on is answered first.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4).close()"]
ENTRYPOINT ["logolens", "serve"]
# Inside a container all addresses are listened on; who reaches them is said where the port is published.
CMD ["/bundles/brands", "--host", "0.0.0.0", "--port", "8000"]
