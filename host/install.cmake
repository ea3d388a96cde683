# What `cmake --install` puts where: headers, both libraries, the CMake package clseq and a pkg-config file.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/clseq)

install(DIRECTORY include/clseq DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(TARGETS clseq EXPORT clseq-targets)
install(TARGETS clseq_static EXPORT clseq-static-targets)
install(EXPORT clseq-targets NAMESPACE clseq:: DESTINATION ${package_dir})
install(EXPORT clseq-static-targets NAMESPACE clseq:: DESTINATION ${package_dir})

configure_package_config_file(host/clseq-config.cmake.in clseq-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(clseq-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/clseq-config.cmake ${PROJECT_BINARY_DIR}/clseq-config-version.cmake
        host/dependencies.cmake DESTINATION ${package_dir})

# The pkg-config file finds its folders from its own, so that the prefix can be moved or chosen at install time.
foreach(dir libdir includedir)
    string(TOUPPER CMAKE_INSTALL_${dir} variable)
    if(IS_ABSOLUTE "${${variable}}")
        set(pc_${dir} "${${variable}}")
    else()
        set(pc_${dir} "\${prefix}/${${variable}}")
    endif()
endforeach()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH up "/x/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/x")
    set(pc_prefix "\${pcfiledir}/${up}")
endif()
configure_file(host/clseq.pc.in clseq.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/clseq.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
