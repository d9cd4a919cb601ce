#if !Hummingbird && DEPENDENCY
#error("SocketMasterHummingbird needs the package trait Hummingbird: .package(url: ..., traits: [\"Hummingbird\"])")
#endif
