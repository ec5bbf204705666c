#include "core/io/container.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "core/io/hdf5.hpp"
#include "core/io/mat5.hpp"
#include "core/io/npy.hpp"
#include "core/io/safetensors.hpp"
#include "tests/support/hdf5_writer.hpp"
#include "tests/support/temp_folder.hpp"

namespace gauntlet::io {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::bytes_of_file;
using testing_support::Hdf5Writer;
using testing_support::TempFolder;

std::vector<float> part_of(Container& file, std::string_view name, const Slab& slab) {
  std::int64_t n = 1;
  for (const std::int64_t side : slab.count) n *= side;
  std::vector<float> values(static_cast<std::size_t>(n));
  const Status read = file.read(*file.find(name), slab, values);
  EXPECT_TRUE(read) << read.error().message;
  return values;
}

std::string refusal(const std::filesystem::path& path) {
  const auto file = open_container(path);
  if (!file) return file.error().message;
  return (*file)->arrays().empty() ? "" : (*file)->arrays().front().refusal;
}

const std::vector<std::uint8_t> kBytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

TEST(Hdf5, PartsOfArraysAreRead) {
  const TempFolder folder;
  {
    Hdf5Writer out(folder / "a.mat", true);
    out.add<std::uint8_t>("IAll", {3, 4}, kBytes, {.matlab_class = "uint8"});
    out.add<double>("TAll", {2, 2}, {0.5, 1, 2, 1e300},
                    {.chunk = {1, 2}, .deflate = true, .matlab_class = "double"});
    out.add_chars("names", {"im1", "im22"});
    out.add_cells("caption", {{"a cat", "b"}, {"c"}});
  }
  auto file = open_container(folder / "a.mat");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->kind(), ContainerKind::kMat73);
  EXPECT_EQ((*file)->arrays().size(), 4U);  // nothing of #refs#
  EXPECT_TRUE((*file)->find("IAll")->is_matlab);
  EXPECT_THAT((*file)->find("TAll")->chunk, ElementsAre(1, 2));
  EXPECT_THAT(part_of(**file, "IAll", {{1, 2}, {2, 2}}), ElementsAre(6, 7, 10, 11));
  EXPECT_THAT(part_of(**file, "TAll", {{0, 0}, {2, 2}}),
              ElementsAre(0.5F, 1, 2, std::numeric_limits<float>::infinity()));
  std::vector<std::uint8_t> column(3);
  ASSERT_TRUE((*file)->read(*(*file)->find("IAll"), {{0, 3}, {3, 1}}, column));
  EXPECT_THAT(column, ElementsAre(3, 7, 11));
  EXPECT_EQ(*(*file)->texts(*(*file)->find("names")), (Texts{{"im1"}, {"im22"}}));
  EXPECT_EQ(*(*file)->texts(*(*file)->find("caption")), (Texts{{"a cat", "b"}, {"c"}}));
  EXPECT_THAT((*file)->texts(*(*file)->find("IAll")).error().message, HasSubstr("holds u8, not strings"));
  EXPECT_THAT(open_mat5(folder / "a.mat").error().message, HasSubstr("is a MATLAB 7.3 file: HDF5, not v5"));
}

TEST(Hdf5, PlainFilesGroupsAndStringsAreRead) {
  const TempFolder folder;
  {
    Hdf5Writer out(folder / "plain");
    H5Gclose(H5Gcreate2(out.file(), "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Lcreate_hard(out.file(), "/g", out.file(), "/g/loop", H5P_DEFAULT, H5P_DEFAULT);
    out.add<std::int32_t>("g/x", {2}, {-5, 70000});
    out.add_strings("s", {"one", "two "});
    H5Lcreate_external("/etc/passwd", "/x", out.file(), "outside", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/nothing", out.file(), "dangling", H5P_DEFAULT, H5P_DEFAULT);
  }
  auto file = open_container(folder / "plain");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->kind(), ContainerKind::kHdf5);
  ASSERT_EQ((*file)->arrays().size(), 2U);
  EXPECT_THAT(part_of(**file, "g/x", {{0}, {2}}), ElementsAre(-5, 70000));
  EXPECT_EQ(*(*file)->texts(*(*file)->find("s")), (Texts{{"one"}, {"two"}}));
}

TEST(Hdf5, WhatIsDeclaredIsComparedWithWhatIsStored) {
  const TempFolder folder;
  const hsize_t side = 1'000'000;
  Hdf5Writer(folder / "hole").declare("a", H5T_NATIVE_UINT8, {side, side}, {.chunk = {1000, 1000}});
  EXPECT_THAT(refusal(folder / "hole"), HasSubstr("declares 1000000000000 bytes of data, but stores 0"));
  Hdf5Writer(folder / "bomb")
      .declare("a", H5T_NATIVE_UINT8, {side, side}, {.chunk = {1000, 1000}, .deflate = true});
  EXPECT_THAT(refusal(folder / "bomb"), HasSubstr("is a bomb"));
  Hdf5Writer(folder / "chunk").declare("a", H5T_NATIVE_DOUBLE, {20000, 20000}, {.chunk = {20000, 20000}});
  EXPECT_THAT(refusal(folder / "chunk"), HasSubstr("chunks of more than"));
  {
    Hdf5Writer out(folder / "outside");
    const hsize_t n = 4;
    const hid_t space = H5Screate_simple(1, &n, nullptr);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, "/etc/hostname", 0, 4);
    H5Dclose(H5Dcreate2(out.file(), "a", H5T_NATIVE_UINT8, space, H5P_DEFAULT, creation, H5P_DEFAULT));
    H5Pclose(creation);
    H5Sclose(space);
  }
  EXPECT_THAT(refusal(folder / "outside"), HasSubstr("keeps its data in other files"));
  Hdf5Writer(folder / "name").add<std::uint8_t>("\xFF", {1}, {1});
  EXPECT_THAT(refusal(folder / "name"), HasSubstr("the name '\\xff' is not UTF-8"));
}

TEST(Hdf5, FilesThatAreCutOffAreRefused) {
  const TempFolder folder;
  Hdf5Writer(folder / "whole").add<std::uint8_t>("a", {3, 4}, kBytes);
  const std::string bytes = bytes_of_file(folder / "whole");
  for (const std::size_t n : {bytes.size() - 1, bytes.size() / 2, std::size_t{100}, std::size_t{9}}) {
    const auto cut = open_container(folder.write("cut", bytes.substr(0, n)));
    ASSERT_FALSE(cut) << n;
    EXPECT_EQ(cut.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(cut.error().message, HasSubstr("cannot be opened as HDF5: "));
  }
  EXPECT_THAT(open_container(folder.write("cut", bytes.substr(0, bytes.size() - 1))).error().message,
              HasSubstr("truncated file"));
  std::string header = "MATLAB 7.3 MAT-file";
  header.resize(600, ' ');
  EXPECT_THAT(refusal(folder.write("h", header)), HasSubstr("but no HDF5 follows it within 600 bytes"));
}

TEST(Containers, ArraysOfNpyAndSafetensorsAreRead) {
  const TempFolder folder;
  ASSERT_TRUE(write_npy<std::uint8_t>(folder / "images.bin", {3, 4}, kBytes));
  auto npy = open_container(folder / "images.bin");
  ASSERT_TRUE(npy) << npy.error().message;
  EXPECT_THAT(part_of(**npy, "images", {{1, 1}, {2, 2}}), ElementsAre(5, 6, 9, 10));
  const std::vector<double> wide = {1, -2, 1e300, 4};
  ASSERT_TRUE(write_safetensors(folder / "t", {{"text", view_of<double>({2, 2}, wide)},
                                               {"labels", view_of<std::uint8_t>({3, 4}, kBytes)}}));
  auto tensors = open_container(folder / "t");
  ASSERT_TRUE(tensors) << tensors.error().message;
  EXPECT_EQ((*tensors)->kind(), ContainerKind::kSafetensors);
  EXPECT_THAT(part_of(**tensors, "text", {{0, 0}, {2, 2}}),
              ElementsAre(1, -2, std::numeric_limits<float>::infinity(), 4));
  std::vector<std::uint8_t> row(4);
  ASSERT_TRUE((*tensors)->read(*(*tensors)->find("labels"), {{2, 0}, {1, 4}}, row));
  EXPECT_THAT(row, ElementsAre(8, 9, 10, 11));
}

TEST(Containers, HalfPrecisionIsWidened) {
  const TempFolder folder;
  // 1, -2, 65504 (the largest), 2^-24 (the smallest), infinity
  const std::vector<std::uint16_t> halves = {0x3C00, 0xC000, 0x7BFF, 0x0001, 0x7C00};
  ASSERT_TRUE(
      write_npy(folder / "h", DType::kF16, std::vector<std::int64_t>{5}, std::as_bytes(std::span(halves))));
  auto file = open_container(folder / "h");
  EXPECT_THAT(part_of(**file, "h", {{0}, {5}}),
              ElementsAre(1, -2, 65504, 0x1p-24F, std::numeric_limits<float>::infinity()));
}

TEST(ListFile, PathsAndLabelsAreRead) {
  const TempFolder folder;
  auto file = open_container(folder.write("train", "a b/im1.jpg 1 0 0\r\n\nim2.jpg\t0 0 0\n"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->kind(), ContainerKind::kList);
  EXPECT_EQ(*(*file)->texts(*(*file)->find("path")), (Texts{{"a b/im1.jpg"}, {"im2.jpg"}}));
  EXPECT_THAT(part_of(**file, "labels", {{0, 0}, {2, 3}}), ElementsAre(1, 0, 0, 0, 0, 0));
  const auto message = [&](std::string_view text) {
    return open_container(folder.write("l", text)).error().message;
  };
  EXPECT_THAT(message("a.jpg 1 0\nb.jpg 1\n"), HasSubstr("l:2: 1 labels; the lines before have 2"));
  EXPECT_THAT(message("a.jpg 1 0\nb.jpg\n"), HasSubstr("l:2: 'b.jpg' is no path followed by labels"));
  EXPECT_THAT(message("a.jpg 1 0\n\xFF.jpg 1 0\n"), HasSubstr("l:2: the path '\\xff.jpg' is not UTF-8"));
}

TEST(Containers, WhatIsNoContainerIsRefused) {
  const TempFolder folder;
  EXPECT_THAT(refusal(folder.write("a.mat", "hello, world\n")),
              HasSubstr("is nothing that is known by its first bytes"));
  EXPECT_THAT(refusal(folder.write("empty", "")), HasSubstr("is nothing that is known"));
  std::filesystem::create_symlink("loop", folder / "loop");
  EXPECT_THAT(refusal(folder / "loop"), HasSubstr("levels of symbolic links"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(folder / "pipe"), HasSubstr("is not an ordinary file"));
  EXPECT_THAT(refusal(folder.path()), HasSubstr("is not an ordinary file"));
  EXPECT_EQ(open_container(folder / "none").error().code, ErrorCode::kNotFound);
  EXPECT_THAT(open_hdf5(folder.write("l", "a 1\n")).error().message,
              HasSubstr("is list of paths and labels, not HDF5"));
}

}  // namespace
}  // namespace gauntlet::io
