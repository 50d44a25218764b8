# For a host with an NVIDIA GPU and its container toolkit; docs/deployment.md tells how to run it.
FROM denoland/deno:2.9.6

# The Vulkan loader, and the libraries that NVIDIA's driver, which the toolkit mounts, is linked against.
RUN apt-get update \
  && apt-get install -y --no-install-recommends libvulkan1 libegl1 libx11-6 libxext6 \
  && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY deno.json deno.lock ./
RUN deno ci --prod --skip-types
COPY . .
# Compiled while /deno-dir can be written to; the server's user cannot.
RUN deno cache main.ts actors/engine.ts actors/executor/worker.ts actors/loader/worker.ts \
  actors/request_router/prompt_worker.ts cli/check_health.ts

# Vulkan is part of "graphics"; without it the toolkit mounts CUDA alone.
ENV NVIDIA_VISIBLE_DEVICES=all \
  NVIDIA_DRIVER_CAPABILITIES=compute,utility,graphics \
  XDG_RUNTIME_DIR=/tmp \
  CHORUS_HOST=0.0.0.0
USER deno
EXPOSE 8000

# A model of many gigabytes takes minutes to load.
HEALTHCHECK --interval=15s --timeout=5s --start-period=15m \
  CMD ["deno", "run", "--no-prompt", "--allow-net=127.0.0.1", "--allow-env=CHORUS_PORT", "cli/check_health.ts"]

# Deno itself, with the permissions of cli/permissions.ts: no shell or task runner has to pass signals on.
STOPSIGNAL SIGTERM
ENTRYPOINT ["deno", "run", "--cached-only", "--no-prompt", "--allow-read", "--allow-write=/tmp", "--allow-net", "--allow-env=CHORUS_*,TMPDIR", "--ignore-env", "--allow-run=/usr/bin/deno", "main.ts"]
