# fabric: who is attached to whom, planes
lib-box-src += hw/fabric/attach.c
