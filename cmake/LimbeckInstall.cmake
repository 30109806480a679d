# `cmake --install`: the program, the libraries, the headers, and what find_package(Limbeck) needs.
include(CMakePackageConfigHelpers)

# What clients link: everything.
add_library(limbeck_library INTERFACE)
target_link_libraries(limbeck_library INTERFACE limbeck_eval_run)
limbeck_export(limbeck_library limbeck)
limbeck_export(limbeck_torch torch)
limbeck_export(limbeck_openmp openmp)

# torch's libraries stay where they are. (INSTALL_RPATH_USE_LINK_PATH would leave out a .venv in our folder.)
get_filename_component(gomp_folder ${LIMBECK_GOMP} DIRECTORY)
set_target_properties(limbeck PROPERTIES INSTALL_RPATH "${TORCH_DIR}/lib;${gomp_folder}")
install(TARGETS limbeck RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY limbeck/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/limbeck
        FILES_MATCHING PATTERN "*.h" PATTERN "test_*.h" EXCLUDE PATTERN "*_testing.h" EXCLUDE)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Limbeck)
configure_package_config_file(cmake/LimbeckConfig.cmake.in ${CMAKE_BINARY_DIR}/LimbeckConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/LimbeckConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/LimbeckConfig.cmake ${CMAKE_BINARY_DIR}/LimbeckConfigVersion.cmake
        DESTINATION ${package})
install(EXPORT LimbeckTargets NAMESPACE limbeck:: DESTINATION ${package})
