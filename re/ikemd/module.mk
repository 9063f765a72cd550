libraries += vpn
lib-vpn-src := re/ikemd/vpn.c re/ikemd/vpn-proposal.c re/ikemd/vpn-gateway.c re/ikemd/vpn-tunnel.c \
	re/ikemd/tunnels.c
lib-vpn-pkg := glib

programs += vc-ikemd
vc-ikemd-src := re/ikemd/main.c
vc-ikemd-use := vpn placement ifls shell conf fwcrypto firmware
vc-ikemd-pkg := glib crypto

unit-tests += ikemd-test
ikemd-test-src := tests/unit/ikemd/vpn_test.c tests/unit/ikemd/tunnels_test.c
ikemd-test-use := vpn placement ifls conf fwcrypto firmware
ikemd-test-pkg := glib crypto
