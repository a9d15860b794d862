"""`make verify AREA=soak`: minutes of traffic while stores die and versions change; nothing may fail, get lost or come twice."""
