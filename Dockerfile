# An export job: checkpoint in, verified bundle and report out. It needs no GPU.
#
#   docker build -t weft-export .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/job" weft-export /job/checkpoint \
#     -o /job/bundle --target cpu,tensorrt-rtx --precision int8,fp16,fp8 \
#     --compute-capability 8.6,8.9,12.0,12.1 --report /job/report.json
#
# Everything the job needs is in the image: `docker run --network none` works.
FROM python:3.12-slim

# skia draws with the system's GL and font libraries.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libegl1 libfontconfig1 libgl1 \
 && rm -rf /var/lib/apt/lists/*

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
# torch first and pinned exactly; TORCH_INDEX may name an index of CPU builds, which are smaller.
ARG TORCH_INDEX=
RUN PIP_EXTRA_INDEX_URL="$TORCH_INDEX" pip install torch==2.13.0
WORKDIR /opt/weft
COPY pyproject.toml README.md LICENSE ./
COPY runtime runtime
COPY training training
COPY export export
COPY benchmarks benchmarks
RUN pip install '.[export,fp8,rtx,eval]'

# Any user may run the job: caches go where everybody can write.
ENV HOME=/tmp XDG_CACHE_HOME=/tmp/cache
WORKDIR /job
ENTRYPOINT ["weft", "export"]
CMD ["--help"]
