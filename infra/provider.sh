# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts here, with the repository's root as working directory: prepares a copy of the
# configuration under the target directory, so that tests never touch the state or the lock file of a deployment.

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)

# Prints a folder with a mirror of the provider, or nothing where the registry is to be asked.
provider_mirror() {
  if [ -n "${TERRAFORM_PLUGIN_DIR:-}" ]; then
    printf '%s\n' "$TERRAFORM_PLUGIN_DIR"
  elif [ -x ../shared/tools/terraform-mirror ]; then
    ../shared/tools/terraform-mirror
  fi
}

# copy_configuration FOLDER: the configuration without anybody's state, in FOLDER/infra.
copy_configuration() {
  rm -rf "$1"
  mkdir -p "$1/infra"
  (cd infra && tar --exclude='.terraform*' --exclude='*.tfstate*' --exclude='*.tfvars' --exclude=backend.tf -cf - .) |
    tar -xf - -C "$1/infra"
  cp -R dashboards "$1/"
}

# initialise FOLDER: `terraform init` from the mirror or the registry; fails where there is neither.
initialise() {
  local mirror
  mirror=$(provider_mirror)
  if [ -n "$mirror" ]; then
    terraform -chdir="$1" init -backend=false -input=false -plugin-dir="$mirror" >"$1/init.log" 2>&1 ||
      { cat "$1/init.log" >&2; exit 1; }
  else
    timeout 300 terraform -chdir="$1" init -backend=false -input=false >"$1/init.log" 2>&1
  fi
}

# Ends the script where the tools are not there: an error if REQUIRE_TOOLS is set, else a line that says how to get them.
unavailable() {
  if [ -n "${REQUIRE_TOOLS:-}" ]; then
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
  fi
  printf 'SKIPPED %s: %s\n' "$0" "$*"
  exit 0
}
