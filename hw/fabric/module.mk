# fabric: who is attached to whom, planes, the detour; the gateway process
lib-box-src += hw/fabric/attach.c hw/fabric/detour.c

programs += vc-gateway
vc-gateway-src := hw/fabric/gateway.c
vc-gateway-use := ioc firmware
vc-gateway-pkg := glib
