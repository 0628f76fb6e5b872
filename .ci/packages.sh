# Installs what the tests need beside README's list: the peer programs and the tools of the namespace tests. Sourced.
packages=(ethtool frr iperf3 iproute2 iputils-ping libcharon-extauth-plugins libcharon-extra-plugins libstrongswan-extra-plugins
  libstrongswan-standard-plugins strongswan-charon strongswan-pki strongswan-swanctl tshark)
if ! dpkg -s "${packages[@]}" >/dev/null 2>&1; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends "${packages[@]}" >/dev/null
fi
# Licences of what is linked into the wheel; a debug build of the tool is quick to make and fast enough.
cargo deny --version >/dev/null 2>&1 || cargo install -q --locked --profile dev cargo-deny
